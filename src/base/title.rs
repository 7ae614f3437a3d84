//! The name under which `ps` shows us (= setproctitle.c).
//!
//! The system shows the memory in which it once put the command line: what is written there is the title. That memory is
//! short, and the environment stands right behind it; it is copied elsewhere first, so that there is room for more.

use super::process;
use std::ffi::{CStr, OsString};
use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The command line as it was, and the memory that it was in.
struct Original {
    args: Vec<OsString>,
    start: usize,
    len: usize,
}

static ORIGINAL: OnceLock<Original> = OnceLock::new();

unsafe extern "C" {
    static environ: AtomicPtr<*mut libc::c_char>;
}

/// The command line with which the program was started, whatever the title is now.
pub fn original_args() -> Vec<OsString> {
    ORIGINAL.get().map_or_else(|| std::env::args_os().collect(), |original| original.args.clone())
}

/// Makes room for titles. To be called while there is but one thread, and nobody holds a string of the environment.
pub fn prepare() {
    let args: Vec<OsString> = std::env::args_os().collect();
    let Some((start, end)) = command_line() else { return };
    // SAFETY: by the caller's word nobody reads or changes the environment meanwhile. Each entry is a string that ends in
    // NUL; its copy is never freed, for anybody may hold it.
    let end = unsafe {
        let mut end = end;
        let mut entry = environ.load(Ordering::Relaxed);
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry);
            if *entry as usize == end {
                end += text.to_bytes_with_nul().len();
            }
            *entry = text.to_owned().into_raw();
            entry = entry.add(1);
        }
        end
    };
    let _ = ORIGINAL.set(Original { args, start, len: end - start });
}

/// Where the command line stands: the fields 48 and 49 of `/proc/self/stat`.
fn command_line() -> Option<(usize, usize)> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, with anything in it.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(45);
    let start: usize = fields.next()?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    (start != 0 && end > start).then_some((start, end))
}

/// Sets the title, if there is room for any; it is cut where the room ends.
pub fn set(title: &str) {
    process::set_process_title(title.rsplit('/').next().unwrap_or(title));
    let Some(original) = ORIGINAL.get() else { return };
    let shown = title.as_bytes();
    let shown = &shown[..shown.len().min(original.len - 1)];
    // SAFETY: `prepare` found that the memory is that of the command line and of the environment, whose strings have all
    // been copied by now. The program does not read the arguments there again, for it asks `original_args`.
    unsafe {
        let memory = original.start as *mut u8;
        std::ptr::copy_nonoverlapping(shown.as_ptr(), memory, shown.len());
        std::ptr::write_bytes(memory.add(shown.len()), 0, original.len - shown.len());
    }
}
