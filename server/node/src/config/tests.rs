//! What a configuration file may say.

use super::*;

const MINIMAL: &str = r#"
domain = "a.example"
listen = ["127.0.0.1:0"]
[files]
database = "db"
storage_key = "storage.key"
intermediate_key = "intermediate.key"
server_keys = "/keys/server.keys"
tls_certificate = "tls.crt"
tls_key = "tls.key"
"#;

fn load(text: &str) -> Result<Config, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hearthd.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path)
}

fn refusal(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

#[test]
fn what_is_not_said_has_its_default() {
    let config = load(MINIMAL).unwrap();
    assert_eq!(config.streams, Streams::default());
    assert_eq!(config.connections.retry, Retry::Always);
    assert_eq!(config.transport, Transport::default());
    assert_eq!(config.metrics, None);
}

#[test]
fn relative_paths_begin_where_the_file_is() {
    let config = load(MINIMAL).unwrap();
    assert!(config.files.database.is_absolute() && config.files.database.ends_with("db"));
    assert_eq!(config.files.server_keys, Path::new("/keys/server.keys"));
}

/// [NODE-CONFIG-1]
#[test]
fn unknown_keys_are_refused_by_name() {
    for section in [
        "connections",
        "handshakes",
        "strangers",
        "transport",
        "streams",
        "watch",
        "memory",
        "budget",
        "workers",
        "database",
        "accounts",
        "groups",
        "queues",
    ] {
        let text = format!("{MINIMAL}[{section}]\nno_such_key = 1\n");
        assert!(refusal(&text).contains("no_such_key"), "in {section}");
    }
    assert!(refusal(&format!("nonsense = 1\n{MINIMAL}")).contains("nonsense"));
    assert!(refusal(&format!("{MINIMAL}colour = \"red\"\n")).contains("colour"));
}

#[test]
fn values_out_of_bounds_are_refused_by_name() {
    for (section, line, key) in [
        ("streams", "concurrent = 0", "streams.concurrent"),
        ("budget", "misbehaviour = 1", "budget.misbehaviour"),
        ("workers", "waiting = 0", "workers.waiting"),
        ("handshakes", "cpu_percent = 0", "handshakes.cpu_percent"),
        ("strangers", "requests = 0", "strangers.requests"),
        ("watch", "glitches = 0", "watch.glitches"),
        ("memory", "red_percent = 101", "memory.red_percent"),
        ("transport", "shards = 65", "transport.shards"),
        ("transport", "token_days = 9", "transport.token_days"),
        ("transport", "packets_burst = 0", "transport.packets_burst"),
        (
            "transport",
            "congestion_window = 1",
            "transport.congestion_window",
        ),
        (
            "connections",
            "idle_seconds = 1",
            "connections.idle_seconds",
        ),
    ] {
        let text = format!("{MINIMAL}[{section}]\n{line}\n");
        assert!(refusal(&text).contains(key), "{}", refusal(&text));
    }
    let metrics = format!("metrics = \"0.0.0.0:9433\"\n{MINIMAL}");
    assert!(refusal(&metrics).contains("metrics"));
    assert!(load(&MINIMAL.replace("a.example", "A example")).is_err());
    assert!(load(&MINIMAL.replace("[\"127.0.0.1:0\"]", "[]")).is_err());
}
