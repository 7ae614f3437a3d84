//! What the system tells when the program does what must not be: the fault, the registers, the stack (= debug.c's
//! `sigsegvHandler`, `watchdogSignalHandler`).
//!
//! A signal handler reaches nothing but statics: a function that reports, and the one thing whose state it tells.
//! The report is made with all that a healthy program may use, the allocator too; where the fault was just there, the
//! alarm ends the process before it hangs for long, or a second fault does. Either way what was said before is said.
//!
//! Deliberately absent: a test of the memory (a machine that fails it shows that in its own log), and a dump of the
//! stack's words.

use std::io;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// What ends a process that is not well.
const FAULTS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
/// Room for the handler's own stack: that of the program may be what is broken. Only what is used takes memory.
const STACK_BYTES: usize = 1 << 20;
/// A report takes no longer than this.
const REPORT_SECONDS: libc::c_uint = 30;

/// A fault as the system tells it.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// The signal.
    pub signal: i32,
    /// Why it came: `si_code`.
    pub code: i32,
    /// The address that could not be accessed, or the instruction that could not be run.
    pub address: usize,
    /// The process and the user that sent the signal, if somebody did.
    pub sender: Option<(i32, u32)>,
    /// The instruction at which it happened.
    pub instruction: usize,
    /// The registers by name.
    pub registers: Vec<(&'static str, u64)>,
}

/// What a report tells about.
pub trait Subject {
    /// Hands each section of the report, a heading and a text, to `tell` as soon as it is known.
    fn sections(&self, tell: &mut dyn FnMut(&str, &str));
}

type Report = fn(&Fault);
type Sections = fn(*const (), &mut dyn FnMut(&str, &str));

static REPORT: AtomicUsize = AtomicUsize::new(0);
static EXPIRED: AtomicUsize = AtomicUsize::new(0);
static SUBJECT: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static SECTIONS: AtomicUsize = AtomicUsize::new(0);

/// From now on a fault is reported by `report`, after which the process ends by the same signal.
pub fn install(report: Report) {
    give_stack();
    REPORT.store(report as usize, Ordering::Relaxed);
    for signal in FAULTS {
        set_action(signal, on_fault as extern "C" fn(_, _, _) as usize, libc::SA_ONSTACK | libc::SA_RESETHAND);
    }
}

/// From now on a fault ends the process without a word.
pub fn remove() {
    for signal in FAULTS {
        set_action(signal, libc::SIG_DFL, 0);
    }
}

/// Runs `run` with `subject` as what reports tell about.
pub fn with_subject<T: Subject, R>(subject: &mut T, run: impl FnOnce(&mut T) -> R) -> R {
    fn sections<T: Subject>(subject: *const (), tell: &mut dyn FnMut(&str, &str)) {
        // SAFETY: `with_subject` keeps the subject where it is while the pointer stands in `SUBJECT`, and types of the two
        // statics are the same. The program that was changing it has stopped for good, or, for the watchdog, until we are
        // done. Whatever is half changed may be told wrongly, and may fault again: then the process ends.
        unsafe { &*subject.cast::<T>() }.sections(tell);
    }
    let pointer = std::ptr::from_mut(subject);
    SECTIONS.store(sections::<T> as Sections as usize, Ordering::Relaxed);
    SUBJECT.store(pointer.cast(), Ordering::Release);
    // SAFETY: the pointer comes from the reference that we were given, which is not used in any other way meanwhile.
    let result = run(unsafe { &mut *pointer });
    SUBJECT.store(std::ptr::null_mut(), Ordering::Release);
    result
}

/// Hands the sections about the subject to `tell`, if there is a subject.
pub fn tell_subject(tell: &mut dyn FnMut(&str, &str)) {
    let subject = SUBJECT.load(Ordering::Acquire);
    let sections = SECTIONS.load(Ordering::Relaxed);
    if !subject.is_null() && sections != 0 {
        // SAFETY: `with_subject` stores nothing but such functions there.
        let sections = unsafe { std::mem::transmute::<usize, Sections>(sections) };
        sections(subject, tell);
    }
}

/// Ends the process by SIGABRT without a further report.
pub fn abort_silently() -> ! {
    remove();
    std::process::abort()
}

/// Reads where nothing may be read.
pub fn segfault() {
    // SAFETY: a page of our own that nobody may touch; the access is the fault that is wanted, and no reference to it
    // is ever made.
    unsafe {
        let page =
            libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        page.cast::<u8>().write_volatile(1);
    }
}

/// Has `expired` called if this is not called again for so many milliseconds; 0: never.
pub fn set_watchdog(period_ms: u64, expired: fn(&Fault)) {
    EXPIRED.store(expired as usize, Ordering::Relaxed);
    let handler = on_expiry as extern "C" fn(_, _, _) as usize;
    set_action(libc::SIGALRM, if period_ms > 0 { handler } else { libc::SIG_DFL }, libc::SA_ONSTACK | libc::SA_RESTART);
    let value = libc::timeval { tv_sec: (period_ms / 1000) as i64, tv_usec: (period_ms % 1000 * 1000) as i64 };
    let timer = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: value };
    // SAFETY: the kernel reads the structure that we own.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// Writes to standard output past all buffers and locks.
pub fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: the buffer is ours and as long as we say.
        let count = unsafe { libc::write(libc::STDOUT_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(count) {
            Ok(count) => rest = &rest[count..],
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
    Ok(())
}

/// The handlers' own stack, once.
fn give_stack() {
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    if GIVEN.swap(1, Ordering::Relaxed) != 0 {
        return;
    }
    // SAFETY: a fresh mapping that is never given back, of the size that we say; if there is none, the handlers run on
    // whatever stack there is.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = libc::mmap(std::ptr::null_mut(), STACK_BYTES, protection, flags, -1, 0);
        if base != libc::MAP_FAILED {
            let stack = libc::stack_t { ss_sp: base, ss_flags: 0, ss_size: STACK_BYTES };
            libc::sigaltstack(&stack, std::ptr::null_mut());
        }
    }
}

fn set_action(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
    // SAFETY: all-zero is an empty mask; the handler is one of libc's constants or takes what SA_SIGINFO hands it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags | libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: calls without pointers; the alarm's default action ends the process.
    unsafe {
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::alarm(REPORT_SECONDS);
    }
    call_with_fault(&REPORT, signal, info, context);
    // SAFETY: calls without pointers. The handler is gone by now, so the signal ends the process.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
}

extern "C" fn on_expiry(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    call_with_fault(&EXPIRED, signal, info, context);
}

fn call_with_fault(
    function: &AtomicUsize,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let function = function.load(Ordering::Relaxed);
    if function != 0 {
        // SAFETY: nothing but such functions is ever stored there.
        let report = unsafe { std::mem::transmute::<usize, Report>(function) };
        // SAFETY: the system hands a handler both pointers, valid until it returns.
        report(&unsafe { read_fault(signal, info, context) });
    }
}

/// # Safety
/// The pointers must be those that the system handed a signal handler.
unsafe fn read_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) -> Fault {
    // SAFETY: the caller's promise. `si_code` says which of the other fields are there: a sender at 0 and below.
    unsafe {
        let code = (*info).si_code;
        let sender = (code <= 0).then(|| ((*info).si_pid(), (*info).si_uid()));
        let address = if sender.is_none() { (*info).si_addr() as usize } else { 0 };
        let (instruction, registers) = read_registers(context.cast());
        Fault { signal, code, address, sender, instruction, registers }
    }
}

/// # Safety
/// The pointer must be the context that the system handed a signal handler.
#[cfg(target_arch = "x86_64")]
unsafe fn read_registers(context: *const libc::ucontext_t) -> (usize, Vec<(&'static str, u64)>) {
    const NAMES: [(&str, libc::c_int); 18] = [
        ("RAX", libc::REG_RAX),
        ("RBX", libc::REG_RBX),
        ("RCX", libc::REG_RCX),
        ("RDX", libc::REG_RDX),
        ("RDI", libc::REG_RDI),
        ("RSI", libc::REG_RSI),
        ("RBP", libc::REG_RBP),
        ("RSP", libc::REG_RSP),
        ("R8 ", libc::REG_R8),
        ("R9 ", libc::REG_R9),
        ("R10", libc::REG_R10),
        ("R11", libc::REG_R11),
        ("R12", libc::REG_R12),
        ("R13", libc::REG_R13),
        ("R14", libc::REG_R14),
        ("R15", libc::REG_R15),
        ("RIP", libc::REG_RIP),
        ("EFL", libc::REG_EFL),
    ];
    // SAFETY: the caller's promise; the numbers are libc's places in the array.
    let register = |number: libc::c_int| unsafe { (*context).uc_mcontext.gregs[number as usize] } as u64;
    let registers = NAMES.map(|(name, number)| (name, register(number)));
    (register(libc::REG_RIP) as usize, registers.to_vec())
}

/// # Safety
/// None is needed where nothing is read.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn read_registers(_context: *const libc::ucontext_t) -> (usize, Vec<(&'static str, u64)>) {
    (0, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::{self, Exit, Fork};

    struct Answer(u32);

    impl Subject for Answer {
        fn sections(&self, tell: &mut dyn FnMut(&str, &str)) {
            tell("ANSWER", &self.0.to_string());
        }
    }

    fn fault_in_child(what: fn()) -> (Exit, String) {
        fn report(fault: &Fault) {
            let mut text = format!("signal {} at {}", fault.signal, fault.address != 0);
            tell_subject(&mut |heading, told| text = format!("{text}, {heading} {told}"));
            let _ = write_stdout(text.as_bytes());
        }
        let (mut reader, writer) = io::pipe().expect("a pipe");
        match process::fork().expect("a child") {
            Fork::Child => {
                use std::os::fd::AsRawFd;
                // SAFETY: the child's standard output becomes the pipe; nobody else uses either there.
                unsafe { libc::dup2(writer.as_raw_fd(), libc::STDOUT_FILENO) };
                install(report);
                with_subject(&mut Answer(42), |_| what());
                process::exit_now(0)
            }
            Fork::Parent(pid) => {
                drop(writer);
                let mut text = String::new();
                io::Read::read_to_string(&mut reader, &mut text).expect("text");
                (process::wait_child(pid).expect("a child"), text)
            }
        }
    }

    #[test]
    fn a_fault_is_reported_and_ends_the_process_by_its_signal() {
        assert_eq!(fault_in_child(segfault), (Exit::Signal(libc::SIGSEGV), "signal 11 at true, ANSWER 42".into()));
        assert_eq!(
            fault_in_child(|| drop(process::kill(process::pid(), libc::SIGFPE))),
            (Exit::Signal(libc::SIGFPE), "signal 8 at false, ANSWER 42".into())
        );
        assert_eq!(fault_in_child(|| abort_silently()), (Exit::Signal(libc::SIGABRT), String::new()));
        assert_eq!(fault_in_child(|| {}), (Exit::Code(0), String::new()));
    }

    #[test]
    fn the_watchdog_barks_unless_it_is_set_again() {
        let (exit, text) = fault_in_child(|| {
            set_watchdog(60_000, |_| drop(write_stdout(b"too early, ")));
            set_watchdog(0, |_| drop(write_stdout(b"never, ")));
            set_watchdog(5, |_| {
                let _ = write_stdout(b"bark");
                process::exit_now(3)
            });
            std::thread::sleep(std::time::Duration::from_secs(30));
        });
        assert_eq!((exit, text.as_str()), (Exit::Code(3), "bark"));
    }
}
