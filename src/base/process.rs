//! The system's doors around a process: children, signals, limits, what the kernel counts about us.
//!
//! Ancestors: `redisFork`, `setupSignalHandlers`, `daemonize`, `adjustOpenFilesLimit` in `server.c`, and the `/proc`
//! readers of `zmalloc.c`. Each door is one small safe function.
//!
//! Deliberately absent: what a child does, what a signal means to the server, and any log line.

use std::ffi::CString;
use std::fmt::Display;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// A process id.
pub type Pid = libc::pid_t;

/// Interrupt from the terminal.
pub const SIGINT: i32 = libc::SIGINT;
/// The polite request to end.
pub const SIGTERM: i32 = libc::SIGTERM;
/// What a server ends its own snapshot child with, so that the end is not taken for a failure.
pub const SIGUSR1: i32 = libc::SIGUSR1;
/// The halt that cannot be refused; SIGCONT ends it.
pub const SIGSTOP: i32 = libc::SIGSTOP;
/// The end without appeal.
pub const SIGKILL: i32 = libc::SIGKILL;

/// The signal that asked for a shutdown, 0 for none. A signal handler can reach nothing but a static.
static SHUTDOWN_SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Whether the system's log is open.
static SYSLOG: AtomicBool = AtomicBool::new(false);

/// Which side of a fork we are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    Child,
    /// With the child's id.
    Parent(Pid),
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Splits the process. The child has none of our signal handlers: it survives the terminal's interrupt (the parent
/// decides), and SIGTERM and SIGUSR1 end it at once. It leaves by [`exit_now`], never by returning from `main`.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: data lives on one thread, the one that forks; the child finds the heap and every lock as that thread
    // left them (the allocator and libc carry theirs across), and waits for no other thread.
    match check(unsafe { libc::fork() })? {
        0 => {
            set_signal(SIGINT, libc::SIG_IGN);
            set_signal(SIGTERM, libc::SIG_DFL);
            set_signal(SIGUSR1, libc::SIG_DFL);
            SHUTDOWN_SIGNAL.store(0, Ordering::Relaxed);
            Ok(Fork::Child)
        }
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Takes note of a child that has ended, without waiting for one. As the first process of a container we may be
/// told of children that are not ours.
pub fn wait_child_nonblocking() -> Option<(Pid, Exit)> {
    wait_for(-1, libc::WNOHANG)
}

/// Waits until this child has ended; none if there is no such child.
pub fn wait_child(pid: Pid) -> Option<Exit> {
    wait_for(pid, 0).map(|(_, exit)| exit)
}

fn wait_for(pid: Pid, options: libc::c_int) -> Option<(Pid, Exit)> {
    let mut status = 0;
    // SAFETY: the kernel fills the integer that we own.
    let mut found = unsafe { libc::waitpid(pid, &mut status, options) };
    while found < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
        // SAFETY: as above.
        found = unsafe { libc::waitpid(pid, &mut status, options) };
    }
    if found <= 0 {
        return None;
    }
    if libc::WIFSIGNALED(status) {
        return Some((found, Exit::Signal(libc::WTERMSIG(status))));
    }
    Some((found, Exit::Code(libc::WEXITSTATUS(status))))
}

/// Sends a signal.
pub fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: a call without pointers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Ends the process at once: no destructors, no flushing of what the parent had in its buffers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: a call that does not return.
    unsafe { libc::_exit(code) }
}

/// Our own process id.
pub fn pid() -> Pid {
    std::process::id() as Pid
}

/// Goes on in the background: the parent leaves with status 0, and the terminal is left behind.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: as in `fork`; nothing runs yet but the thread that starts the server.
    if check(unsafe { libc::fork() })? > 0 {
        exit_now(0);
    }
    // SAFETY: calls without pointers, but for a path that ends in NUL; the three standard descriptors become
    // /dev/null, so no handle on them dangles.
    unsafe {
        check(libc::setsid())?;
        let null = check(libc::open(c"/dev/null".as_ptr(), libc::O_RDWR))?;
        for standard in 0..=2 {
            check(libc::dup2(null, standard))?;
        }
        if null > 2 {
            check(libc::close(null))?;
        }
    }
    Ok(())
}

fn set_signal(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: all-zero is an empty mask without flags; the handler is one of libc's constants or a function with
    // the signature of a signal handler. SA_RESTART spares file reads and writes; epoll_wait is interrupted anyway.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// SIGTERM and SIGINT are noted for [`pending_shutdown_signal`]; a SIGINT after that ends the process with status 1.
/// SIGPIPE and SIGHUP are ignored.
pub fn install_signal_handlers() {
    let handler = on_shutdown_signal as extern "C" fn(libc::c_int);
    set_signal(SIGTERM, handler as libc::sighandler_t);
    set_signal(SIGINT, handler as libc::sighandler_t);
    set_signal(libc::SIGPIPE, libc::SIG_IGN);
    set_signal(libc::SIGHUP, libc::SIG_IGN);
}

extern "C" fn on_shutdown_signal(signal: libc::c_int) {
    let before = SHUTDOWN_SIGNAL.swap(signal, Ordering::Relaxed);
    if before != 0 && signal == SIGINT {
        let text = b"You insist... exiting now.\n";
        // SAFETY: write and _exit are among what a signal handler may call; the text is as long as we say.
        unsafe { libc::write(libc::STDOUT_FILENO, text.as_ptr().cast(), text.len()) };
        exit_now(1);
    }
}

/// The signal that asked for a shutdown, until [`forget_shutdown_signal`].
#[inline]
pub fn pending_shutdown_signal() -> Option<i32> {
    match SHUTDOWN_SIGNAL.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal),
    }
}

/// For a shutdown that was called off: the next signal asks anew.
pub fn forget_shutdown_signal() {
    SHUTDOWN_SIGNAL.store(0, Ordering::Relaxed);
}

/// Tries to have `wanted` open files allowed; returns how many are, which may be fewer, or more.
pub fn raise_file_limit(wanted: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the structure that we own.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } < 0 {
        return 0;
    }
    if limit.rlim_cur >= wanted {
        return limit.rlim_cur;
    }
    // Above the hard limit only root may go; up to it everybody.
    for (current, hard) in [(wanted, wanted.max(limit.rlim_max)), (wanted.min(limit.rlim_max), limit.rlim_max)] {
        let raised = libc::rlimit { rlim_cur: current, rlim_max: hard };
        // SAFETY: the kernel reads the structure that we own.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
            return current;
        }
    }
    limit.rlim_cur
}

/// Tells the service manager at `NOTIFY_SOCKET` (a path, or `@` and an abstract name); false if there is none or
/// it does not listen. See sd_notify(3) for the texts.
pub fn sd_notify(text: &str) -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| notify_at(&socket, text).is_ok())
}

fn notify_at(socket: &std::ffi::OsStr, text: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(drop)
}

/// Asks the kernel not to back our memory with huge pages: after a fork each touched one would be copied whole.
pub fn disable_huge_pages() -> bool {
    const PR_SET_THP_DISABLE: libc::c_int = 41;
    // SAFETY: a call without pointers.
    unsafe { libc::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 }
}

/// The short name that `ps` and `top` show; cut after 15 bytes.
pub fn set_process_title(title: &str) {
    let mut name = [0u8; 16];
    let length = title.len().min(15);
    name[..length].copy_from_slice(&title.as_bytes()[..length]);
    // SAFETY: the name is 16 bytes with a NUL at the end.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

const OOM_SCORE_ADJ: &str = "/proc/self/oom_score_adj";

/// What the kernel adds to our score when it looks for a process to kill.
pub fn oom_score_adj() -> io::Result<i32> {
    let text = fs::read_to_string(OOM_SCORE_ADJ)?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Changes that; less than it was needs privileges.
pub fn set_oom_score_adj(value: i32) -> io::Result<()> {
    fs::write(OOM_SCORE_ADJ, value.to_string())
}

/// Opens the system's log for lines under this name, to the facility of this number: 0 is `user`, from 1 on come `local0`
/// and so on.
pub fn open_syslog(ident: &str, facility: usize) {
    const FACILITIES: [libc::c_int; 9] = [
        libc::LOG_USER,
        libc::LOG_LOCAL0,
        libc::LOG_LOCAL1,
        libc::LOG_LOCAL2,
        libc::LOG_LOCAL3,
        libc::LOG_LOCAL4,
        libc::LOG_LOCAL5,
        libc::LOG_LOCAL6,
        libc::LOG_LOCAL7,
    ];
    let ident = CString::new(ident).unwrap_or_default().into_raw();
    // SAFETY: the name ends in NUL and is never freed, for the library keeps the pointer.
    unsafe { libc::openlog(ident, libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT, FACILITIES[facility.min(8)]) };
    SYSLOG.store(true, Ordering::Relaxed);
}

/// Writes a line to the system's log, if that is open. `severity`: 0 debug, 1 info, 2 notice, 3 warning.
pub fn syslog(severity: usize, line: &impl Display) {
    const SEVERITIES: [libc::c_int; 4] = [libc::LOG_DEBUG, libc::LOG_INFO, libc::LOG_NOTICE, libc::LOG_WARNING];
    if SYSLOG.load(Ordering::Relaxed) {
        let line = CString::new(line.to_string().replace('\0', " ")).unwrap_or_default();
        // SAFETY: both strings end in NUL, and the first has the place for the second.
        unsafe { libc::syslog(SEVERITIES[severity.min(3)], c"%s".as_ptr(), line.as_ptr()) };
    }
}

/// Bytes of our memory that differ from what we share with others: in a child, what copy-on-write has copied.
pub fn private_dirty_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/smaps_rollup").or_else(|_| fs::read_to_string("/proc/self/smaps"));
    text.map_or(0, |text| sum_kilobytes(&text, "Private_Dirty:"))
}

/// Adds up the lines `name  <n> kB`, in bytes.
fn sum_kilobytes(text: &str, name: &str) -> u64 {
    let values = text.lines().filter_map(|line| line.strip_prefix(name));
    values.filter_map(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).sum::<u64>() * 1024
}

/// Bytes of memory that we occupy.
pub fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * system_number(libc::_SC_PAGESIZE)
}

/// Bytes of memory that the machine has.
pub fn total_system_memory() -> u64 {
    system_number(libc::_SC_PHYS_PAGES) * system_number(libc::_SC_PAGESIZE)
}

fn system_number(name: libc::c_int) -> u64 {
    // SAFETY: a call without pointers.
    unsafe { libc::sysconf(name) }.max(0) as u64
}

/// Processor time spent, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    pub user_us: u64,
    pub system_us: u64,
    /// Of children that have ended and were waited for.
    pub children_user_us: u64,
    pub children_system_us: u64,
}

/// Processor time of this process and its children.
pub fn cpu_times() -> CpuTimes {
    let (user_us, system_us) = usage(libc::RUSAGE_SELF);
    let (children_user_us, children_system_us) = usage(libc::RUSAGE_CHILDREN);
    CpuTimes { user_us, system_us, children_user_us, children_system_us }
}

/// Processor time of the calling thread: user and system, in microseconds.
pub fn thread_cpu_times() -> (u64, u64) {
    usage(libc::RUSAGE_THREAD)
}

fn usage(whose: libc::c_int) -> (u64, u64) {
    // SAFETY: all-zero is a valid rusage, and the kernel fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(whose, &mut usage);
        usage
    };
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    (us(usage.ru_utime), us(usage.ru_stime))
}

/// Name, release and machine of the system, as INFO's `os` has them.
pub fn uname() -> String {
    // SAFETY: all-zero is a valid utsname, and the kernel fills it.
    let names = unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        libc::uname(&mut names);
        names
    };
    let parts = [&names.sysname, &names.release, &names.machine];
    parts.map(|part| part.iter().take_while(|&&c| c != 0).map(|&c| c as u8 as char).collect::<String>()).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forks; the child runs `work` (which must not allocate: other threads of the test may hold locks).
    fn child(work: impl FnOnce() -> i32) -> Pid {
        match fork().unwrap() {
            Fork::Child => exit_now(work()),
            Fork::Parent(pid) => pid,
        }
    }

    #[test]
    fn children_report_their_code_or_their_signal() {
        let born = child(|| 7);
        assert_eq!(wait_child(born), Some(Exit::Code(7)));
        assert_eq!(wait_child(born), None, "reported once");
        let born = child(|| {
            // It survives an interrupt, and ends by SIGUSR1 before the code is reached.
            let _ = kill(pid(), SIGINT);
            let _ = kill(pid(), SIGUSR1);
            3
        });
        assert_eq!(wait_child(born), Some(Exit::Signal(SIGUSR1)));
    }

    #[test]
    fn a_shutdown_signal_is_noted_and_a_second_interrupt_ends_the_process() {
        let born = child(|| {
            install_signal_handlers();
            let early = pending_shutdown_signal();
            let _ = kill(pid(), SIGTERM);
            let noted = pending_shutdown_signal();
            let _ = kill(pid(), SIGTERM);
            forget_shutdown_signal();
            let forgotten = pending_shutdown_signal();
            let _ = kill(pid(), SIGINT);
            i32::from(early.is_some() || noted != Some(SIGTERM) || forgotten.is_some()) + 40
        });
        assert_eq!(wait_child(born), Some(Exit::Code(40)));
        let born = child(|| {
            install_signal_handlers();
            // SAFETY: a descriptor closed in a child that is about to end; the farewell shall not end up among
            // the harness's lines.
            unsafe { libc::close(libc::STDOUT_FILENO) };
            let _ = kill(pid(), SIGTERM);
            let _ = kill(pid(), SIGINT);
            0
        });
        assert_eq!(wait_child(born), Some(Exit::Code(1)));
    }

    #[test]
    fn the_file_limit_can_be_raised_and_is_never_lowered() {
        let now = raise_file_limit(0);
        assert!(now >= 64, "{now}");
        assert_eq!(raise_file_limit(now), now);
        assert_eq!(raise_file_limit(16), now);
    }

    #[test]
    fn the_service_manager_hears_at_a_path_and_at_an_abstract_name() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let name = format!("understudy-notify-{}", pid());
        let path = std::env::temp_dir().join(&name);
        let at_path = UnixDatagram::bind(&path).unwrap();
        let at_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let abstract_name = format!("@{name}");
        for (socket, address) in [(at_path, path.as_os_str()), (at_name, abstract_name.as_ref())] {
            notify_at(address, "READY=1\n").unwrap();
            let mut heard = [0; 32];
            let length = socket.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1\n");
        }
        fs::remove_file(&path).unwrap();
        assert!(notify_at(path.as_os_str(), "READY=1\n").is_err(), "nobody listens there any more");
    }

    #[test]
    fn a_title_is_cut_where_the_kernel_cuts() {
        set_process_title("understudy-and-then-some");
        assert_eq!(fs::read_to_string("/proc/thread-self/comm").unwrap(), "understudy-and-\n");
    }

    #[test]
    fn kilobytes_of_equal_names_are_added() {
        let text = "Rss:  5 kB\nPrivate_Dirty:        12 kB\nShared_Dirty: 9 kB\nPrivate_Dirty: 3 kB\n";
        assert_eq!(sum_kilobytes(text, "Private_Dirty:"), 15 * 1024);
    }

    #[test]
    fn memory_figures_hold_what_we_touch() {
        // Other tests run beside this one and free memory of theirs, so only what is ours is sure.
        let block = vec![1u8; 64 << 20];
        assert!(private_dirty_bytes() >= block.len() as u64);
        assert!(resident_bytes() >= block.len() as u64);
        assert!(total_system_memory() > block.len() as u64);
    }

    #[test]
    fn processor_time_passes_while_we_work() {
        let before = thread_cpu_times();
        let mut turns = 0u64;
        while thread_cpu_times().0 + thread_cpu_times().1 < before.0 + before.1 + 2000 {
            turns = std::hint::black_box(turns + 1);
        }
        let times = cpu_times();
        assert!(turns > 0 && times.user_us + times.system_us >= 2000, "{times:?}");
    }

    #[test]
    fn the_system_has_a_name_a_release_and_a_machine() {
        let name = uname();
        assert!(name.starts_with("Linux ") && name.split(' ').count() == 3, "{name}");
    }
}
