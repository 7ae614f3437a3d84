//! The report that a crash leaves in the log, and the watchdog that tells where the server hangs (= debug.c, `logStackTrace`
//! and its neighbours).
//!
//! Tools and people look for `BUG REPORT START`, `crashed by signal`, `ASSERTION FAILED`, `Guru Meditation`, `STACK TRACE`;
//! the headings are those of stock.

use super::{Server, admin, logging};
use crate::base::crash::{self, Fault, Subject};
use crate::base::process;
use crate::config::{COMPATIBLE_VERSION, Config};
use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

const START: &str = "=== UNDERSTUDY BUG REPORT START: Cut & paste starting from here ===";
const END: &str = "=== UNDERSTUDY BUG REPORT END. Make sure to include from START to END. ===";

/// Whether a broken promise ends the process by `exit` (`use-exit-on-panic`).
static EXIT_ON_PANIC: AtomicBool = AtomicBool::new(false);
/// Whether there are reports (`crash-log-enabled`).
static ENABLED: AtomicBool = AtomicBool::new(true);

/// Follows the settings: what happens on a fault, a broken promise, and on a silence of the loop.
pub fn follow(config: &Config) {
    let says_yes = |name: &str| config.accepted.get(name).is_some_and(|value| value == b"yes");
    EXIT_ON_PANIC.store(says_yes("use-exit-on-panic"), Ordering::Relaxed);
    ENABLED.store(config.crash_log_enabled, Ordering::Relaxed);
    if config.crash_log_enabled {
        crash::install(report_fault);
    } else {
        crash::remove();
    }
    watch(config);
}

/// Winds the watchdog up again: cron comes here in time, unless the loop hangs.
pub fn watch(config: &Config) {
    // A period below two turns of cron would bark at nothing.
    let least = 2 * 1000 / u64::from(config.hz.max(1));
    let period_ms = if config.watchdog_period > 0 { config.watchdog_period.max(least) } else { 0 };
    crash::set_watchdog(period_ms, report_expiry);
}

/// Has a broken promise of our own told in the log before the process ends.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        report_panic(panic);
        if EXIT_ON_PANIC.load(Ordering::Relaxed) {
            process::exit_now(1);
        }
        crash::abort_silently()
    }));
}

fn say(line: &str) {
    logging::write_past_locks(line, true);
}

fn say_plainly(text: &str) {
    logging::write_past_locks(text, false);
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let message = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("(no message)");
    let place = panic.location().map_or_else(|| "?".to_string(), ToString::to_string);
    if ENABLED.load(Ordering::Relaxed) {
        say_plainly(&format!("\n\n{START}"));
    }
    if message.starts_with("assertion") {
        say("=== ASSERTION FAILED ===");
        say(&format!("==> {place} {message}"));
    } else {
        say("!!! A promise of the program's own is broken: it ends here.");
        say(&format!("Guru Meditation: {message} #{place}"));
    }
    if ENABLED.load(Ordering::Relaxed) {
        tell_stack();
        tell_state();
    }
}

fn report_fault(fault: &Fault) {
    say_plainly(&format!("\n\n{START}"));
    let version = env!("CARGO_PKG_VERSION");
    say(&format!(
        "Understudy {version} (Redis {COMPATIBLE_VERSION}) crashed by signal: {}, si_code: {}",
        fault.signal, fault.code
    ));
    match fault.sender {
        Some((pid, user)) => say(&format!("Killed by PID: {pid}, UID: {user}")),
        None => say(&format!("Accessing address: {:#x}", fault.address)),
    }
    if fault.instruction != 0 {
        say(&format!("Crashed running the instruction at: {:#x}", fault.instruction));
    }
    tell_stack();
    if !fault.registers.is_empty() {
        say_plainly("\n------ REGISTERS ------");
        for four in fault.registers.chunks(4) {
            let words: Vec<String> = four.iter().map(|(name, value)| format!("{name}:{value:016x}")).collect();
            say_plainly(&words.join(" "));
        }
    }
    tell_state();
}

fn report_expiry(_fault: &Fault) {
    say("--- WATCHDOG TIMER EXPIRED ---");
    tell_stack();
    say("--------");
}

fn tell_stack() {
    say_plainly("\n------ STACK TRACE ------");
    say_plainly(&Backtrace::force_capture().to_string());
}

fn tell_state() {
    say_plainly(&format!("\n------ SYSTEM ------\n{}\n{}", crate::config::version(), process::uname()));
    crash::tell_subject(&mut |heading, text| say_plainly(&format!("\n------ {heading} ------\n{text}")));
    say_plainly(&format!("\n{END}\n"));
}

impl Subject for Server {
    fn sections(&self, tell: &mut dyn FnMut(&str, &str)) {
        if let Some(id) = self.host.last_reader {
            tell("CURRENT CLIENT INFO", &admin::client::description(self, id));
        }
        tell("INFO OUTPUT", &admin::info::text(self, &[b"everything"]).replace("\r\n", "\n"));
        let lines: Vec<String> = self.clients.iter().map(|(id, _)| admin::client::description(self, id)).collect();
        tell("CLIENT LIST OUTPUT", &lines.join("\n"));
    }
}
