//! System calls on sockets and pipes for which the standard library has no door (= anet.c).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is an int that we own, and its size is told.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) }).map(drop)
}

/// A non-blocking socket, closed on exec.
fn socket(family: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a call without pointers; the descriptor it returns is ours alone.
    unsafe {
        let fd = check(libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Listens at a TCP address with this backlog. IPv6 sockets take IPv6 alone.
pub fn listen_tcp(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let fd = socket(if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET })?;
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if address.is_ipv6() {
        set_option(fd.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    let (storage, len) = socket_address(address);
    // SAFETY: the address is as long as we say, and of the socket's family.
    unsafe {
        check(libc::bind(fd.as_raw_fd(), (&raw const storage).cast(), len))?;
        check(libc::listen(fd.as_raw_fd(), backlog as libc::c_int))?;
    }
    Ok(TcpListener::from(fd))
}

fn socket_address(address: SocketAddr) -> (libc::sockaddr_in6, libc::socklen_t) {
    // SAFETY: all-zero bytes are a valid socket address of either family, and the larger holds the smaller.
    let mut storage: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    match address {
        SocketAddr::V6(v6) => {
            storage.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            storage.sin6_port = v6.port().to_be();
            storage.sin6_addr.s6_addr = v6.ip().octets();
            storage.sin6_scope_id = v6.scope_id();
            (storage, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
        }
        SocketAddr::V4(v4) => {
            let short = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_in is smaller than sockaddr_in6 and plain bytes.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(short) };
            (storage, size_of::<libc::sockaddr_in>() as libc::socklen_t)
        }
    }
}

/// Listens at a path; `mode` is set on the socket file unless it is 0. An old socket there is removed first.
pub fn listen_unix(path: &Path, mode: u32, backlog: u32) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let fd = socket(libc::AF_UNIX)?;
    // SAFETY: all-zero bytes are a valid address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "path of the socket is too long"));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    // SAFETY: the address is ours and of the size we tell.
    unsafe {
        let len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        check(libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len))?;
        check(libc::listen(fd.as_raw_fd(), backlog as libc::c_int))?;
    }
    if mode != 0 {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    Ok(UnixListener::from(fd))
}

/// Turns TCP keep-alive on: the first probe after `seconds`, two more a third of that apart.
pub fn set_keepalive(fd: RawFd, seconds: u32) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, seconds as libc::c_int)?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (seconds / 3).max(1) as libc::c_int)?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)
}

/// Sends small packets at once, or gathers them.
pub fn set_nodelay(fd: RawFd, nodelay: bool) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, libc::c_int::from(nodelay))
}

/// A pipe: the end to read from (non-blocking) and the end to write to (blocking). Both are closed on exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the call fills two descriptors, which are ours alone then.
    let (read, write) = unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    // SAFETY: a call on a descriptor that we own.
    unsafe { check(libc::fcntl(read.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK))? };
    Ok((read, write))
}

/// Asks for a pipe that holds so many bytes. What the system allows less of works, too.
pub fn set_pipe_size(fd: RawFd, bytes: usize) {
    // SAFETY: a call on a descriptor that the caller owns.
    unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, bytes as libc::c_int) };
}

/// Reads once into the spare capacity of `buffer`, which grows by what came; 0 means the end of the stream.
#[inline]
pub fn read_spare(fd: RawFd, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `room` bytes to `to`.
    fill_spare(buffer, max, |to, room| unsafe { libc::read(fd, to, room) })
}

/// `read_spare` for a socket, where less stands between the call and the bytes.
#[inline]
pub fn receive_spare(fd: RawFd, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    // SAFETY: as above.
    fill_spare(buffer, max, |to, room| unsafe { libc::recv(fd, to, room, 0) })
}

#[inline]
fn fill_spare(
    buffer: &mut Vec<u8>,
    max: usize,
    fill: impl FnOnce(*mut libc::c_void, usize) -> isize,
) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    let room = spare.len().min(max);
    let got = fill(spare.as_mut_ptr().cast(), room);
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    let got = got as usize;
    assert!(got <= room);
    // SAFETY: so many bytes of the spare capacity have been written.
    unsafe { buffer.set_len(buffer.len() + got) };
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_listener_takes_connections_and_what_was_sent_is_read_in_parts() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = listen_tcp(address.parse().unwrap(), 16) else { continue };
            let mut out = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            listener.set_nonblocking(false).unwrap();
            let (socket, _) = listener.accept().unwrap();
            set_keepalive(socket.as_raw_fd(), 300).unwrap();
            set_nodelay(socket.as_raw_fd(), true).unwrap();
            out.write_all(b"hello").unwrap();
            let mut buffer = Vec::with_capacity(64);
            assert_eq!(read_spare(socket.as_raw_fd(), &mut buffer, 3).unwrap(), 3);
            assert_eq!(receive_spare(socket.as_raw_fd(), &mut buffer, 64).unwrap(), 2);
            assert_eq!(buffer, b"hello");
            drop(out);
            assert_eq!(read_spare(socket.as_raw_fd(), &mut buffer, 64).unwrap(), 0);
        }
    }
}
