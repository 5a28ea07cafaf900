//! A network namespace in which this machine has all IPv6 addresses of fd00::/8, made by running
//! this program again inside one: attackers come from thousands of networks.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::process::{Command, ExitStatus};

use crate::connection::Failure;
use crate::hostile::socket::source6;

/// Tells the program inside that it is.
const INSIDE: &str = "HEARTH_IPV6_NAMESPACE";
/// Makes the addresses, then runs what it is given. A packet may claim any of them.
const SET_UP: &str = "ip link set lo up \
    && ip -6 route add local fd00::/8 dev lo \
    && echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind \
    && exec \"$@\"";

/// Whether this program runs where the addresses are.
#[must_use]
pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some() && has_address(source6(0, 0))
}

fn has_address(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Whether the machine speaks IPv6 at all, if only with itself.
#[must_use]
pub fn has_loopback() -> bool {
    has_address(Ipv6Addr::LOCALHOST.into())
}

/// Run this program inside with these arguments; `None` if the system gives no namespace, which
/// takes the right to make one, and the program `ip`.
///
/// # Errors
/// This program is not to be found.
pub fn run_inside<A: Into<OsString>>(
    arguments: impl IntoIterator<Item = A>,
) -> Result<Option<ExitStatus>, Failure> {
    let this = env::current_exe()?;
    let Some(ways) = way_in() else {
        return Ok(None);
    };
    let mut command = Command::new("unshare");
    command.args(ways).args(["sh", "-c", SET_UP, "sh"]);
    command
        .arg(this)
        .args(arguments.into_iter().map(Into::into));
    Ok(Some(command.env(INSIDE, "1").status()?))
}

/// What `unshare` has to be told: root needs no further right, others have it as their own root.
fn way_in() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
    ways.into_iter().find(|way| {
        let tried = Command::new("unshare")
            .args(*way)
            .args(["sh", "-c", SET_UP, "sh", "true"])
            .output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}
