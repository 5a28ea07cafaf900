//! How RocksDB is set up, and why.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DataBlockIndexType,
    LogLevel, Options,
};

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Memory for blocks, indexes and filters read from the disk.
    pub block_cache_bytes: usize,
    /// Memory for heads and hot rows of partitions used lately.
    pub row_cache_bytes: usize,
    /// Memory for rows not yet in a sorted file, over all spaces.
    pub write_buffer_bytes: usize,
    /// How large the log may grow until its oldest rows are written to sorted files.
    pub log_bytes_max: u64,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 64 << 20,
            row_cache_bytes: 32 << 20,
            write_buffer_bytes: 64 << 20,
            log_bytes_max: 128 << 20,
        }
    }
}

impl RocksOptions {
    pub(crate) fn database(self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_background_jobs(2);
        options.set_db_write_buffer_size(self.write_buffer_bytes);
        // What was deleted must not stay in old logs for long.
        options.set_max_total_wal_size(self.log_bytes_max);
        options.set_recycle_log_file_num(0);
        options.set_delete_obsolete_files_period_micros(60 * 1_000_000);
        // A log that is missing or cut short as a whole is noticed when the database is opened.
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_bytes_per_sync(1 << 20);
        // There is one writer.
        options.set_allow_concurrent_memtable_write(false);
        options.set_enable_write_thread_adaptive_yield(false);
        // RocksDB's own log and statistics hold nothing of use.
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(1 << 20);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options
    }

    pub(crate) fn column_families<'n>(
        self,
        names: impl Iterator<Item = &'n str>,
    ) -> Vec<ColumnFamilyDescriptor> {
        let cache = Cache::new_lru_cache(self.block_cache_bytes);
        names
            .map(|name| ColumnFamilyDescriptor::new(name, self.column_family(&cache)))
            .collect()
    }

    fn column_family(self, cache: &Cache) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(cache);
        table.set_bloom_filter(10.0, false);
        table.set_whole_key_filtering(true);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        table.set_format_version(6);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        // Values are ciphertext and most of a key is a PRF's output: there is nothing to compress.
        options.set_compression_type(DBCompressionType::None);
        // Measured with `fan_out`: 8 MiB cost as much as 16 MiB, 32 and 64 MiB a tenth more, because
        // finding the place of a row takes longer than what fewer flushes save.
        options.set_write_buffer_size(self.write_buffer_bytes / 4);
        options.set_max_write_buffer_number(3);
        // Most rows asked for are in the buffer or nowhere.
        options.set_memtable_prefix_bloom_ratio(0.05);
        options.set_memtable_whole_key_filtering(true);
        // Queues delete what they delivered: files full of tombstones are rewritten early.
        options.add_compact_on_deletion_collector_factory(4096, 2048, 0.5);
        options
    }
}
