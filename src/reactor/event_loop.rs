//! File events and time events over mio (= ae.c).
//!
//! mio tells of an edge once; `ae` told of a level again and again. The rule that bridges the two is *drain or
//! remember*: an edge sets a flag, and only the code that met the end of what there was to read or write clears it
//! (`would_block`). As long as the flag stands and a procedure wants it, the file is on the ready list and fires in
//! each turn. A short read is such an end, except when the peer has closed: then the next read tells so.
//!
//! Each file is registered once, for reading and writing together; installing or removing a procedure costs no system
//! call.

use crate::base::clock::Clock;
use crate::base::ticker::Ticker;
use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Events, Poll, Token};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// A registered file: index and generation, so that an event for a closed one never hits its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    index: u32,
    generation: u32,
}

/// What a procedure waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read, or the end of it.
    Readable,
    /// There is room to write, or an error to learn of.
    Writable,
}

/// A procedure whose event has come.
#[derive(Clone, Copy, Debug)]
pub enum Fired<P> {
    /// A file event.
    File(FileId, P),
    /// A time event, which is over with this.
    Time(P),
}

struct FileEvent<P> {
    generation: u32,
    in_use: bool,
    on_readable: Option<P>,
    on_writable: Option<P>,
    can_read: bool,
    can_write: bool,
    read_closed: bool,
    on_ready_list: bool,
}

struct TimeEvent<P> {
    when_us: u64,
    procedure: P,
}

/// The reactor. `P` is the closed enum of procedures.
pub struct EventLoop<P> {
    kernel: Option<(Poll, Events)>,
    files: Vec<FileEvent<P>>,
    free: Vec<u32>,
    ready: Vec<u32>,
    times: Vec<TimeEvent<P>>,
    ticker: Option<(Ticker, FileId)>,
}

impl<P: Copy> EventLoop<P> {
    /// A loop that takes up to `capacity` events a turn.
    pub fn new(capacity: usize) -> io::Result<Self> {
        Ok(Self::over(Some((Poll::new()?, Events::with_capacity(capacity)))))
    }

    /// A loop without a kernel, for a simulation: it never sleeps, and takes every file for ready in every turn. A
    /// procedure finds out for itself, as it must anyway.
    pub fn simulated() -> Self {
        Self::over(None)
    }

    fn over(kernel: Option<(Poll, Events)>) -> Self {
        EventLoop { kernel, files: Vec::new(), free: Vec::new(), ready: Vec::new(), times: Vec::new(), ticker: None }
    }

    /// When the next time event is due, in microseconds of the monotonic clock.
    pub fn next_time_us(&self) -> Option<u64> {
        self.times.iter().map(|time| time.when_us).min()
    }

    /// Registers a file. Nothing fires for it until a procedure is installed.
    pub fn add_file(&mut self, source: &mut impl Source) -> io::Result<FileId> {
        let index = self.free.last().copied().unwrap_or(self.files.len() as u32);
        let generation = self.files.get(index as usize).map_or(0, |file| file.generation);
        let token = Token(index as usize | (generation as usize) << 32);
        if let Some((poll, _)) = &self.kernel {
            poll.registry().register(source, token, mio::Interest::READABLE | mio::Interest::WRITABLE)?;
        }
        let file = FileEvent {
            generation,
            in_use: true,
            on_readable: None,
            on_writable: None,
            can_read: false,
            can_write: false,
            read_closed: false,
            on_ready_list: false,
        };
        match self.free.pop() {
            Some(_) => self.files[index as usize] = file,
            None => self.files.push(file),
        }
        Ok(FileId { index, generation })
    }

    /// Forgets a file. Its id is dead afterwards.
    pub fn remove_file(&mut self, id: FileId, source: &mut impl Source) {
        if let Some((poll, _)) = &self.kernel {
            // A descriptor that the kernel has dropped already is as good as removed.
            let _ = poll.registry().deregister(source);
        }
        if let Some(file) = self.file_mut(id) {
            file.generation = file.generation.wrapping_add(1);
            file.in_use = false;
            file.on_readable = None;
            file.on_writable = None;
            self.free.push(id.index);
        }
    }

    fn file_mut(&mut self, id: FileId) -> Option<&mut FileEvent<P>> {
        self.files.get_mut(id.index as usize).filter(|file| file.in_use && file.generation == id.generation)
    }

    /// Installs the procedure for reading or writing; it fires as long as the file is ready.
    pub fn create_file_event(&mut self, id: FileId, interest: Interest, procedure: P) {
        let Some(file) = self.file_mut(id) else { return };
        match interest {
            Interest::Readable => file.on_readable = Some(procedure),
            Interest::Writable => file.on_writable = Some(procedure),
        }
        self.remember_if_ready(id.index);
    }

    /// Removes the procedure for reading or writing.
    pub fn delete_file_event(&mut self, id: FileId, interest: Interest) {
        let Some(file) = self.file_mut(id) else { return };
        match interest {
            Interest::Readable => file.on_readable = None,
            Interest::Writable => file.on_writable = None,
        }
    }

    /// Whether a procedure for writing is installed.
    pub fn awaits_writable(&self, id: FileId) -> bool {
        self.files
            .get(id.index as usize)
            .is_some_and(|file| file.generation == id.generation && file.on_writable.is_some())
    }

    /// Tells that a read or write met its end for now, so the next edge is to be waited for. Without this call the
    /// procedure fires again in the next turn.
    #[inline]
    pub fn would_block(&mut self, id: FileId, interest: Interest) {
        if let Some(file) = self.file_mut(id) {
            match interest {
                Interest::Readable => file.can_read = false,
                Interest::Writable => file.can_write = false,
            }
        }
    }

    /// Tells that a read brought less than was asked for. That is the end for now, unless the peer has closed.
    #[inline]
    pub fn short_read(&mut self, id: FileId) {
        if let Some(file) = self.file_mut(id) {
            file.can_read = file.read_closed;
        }
    }

    fn remember_if_ready(&mut self, index: u32) {
        let file = &mut self.files[index as usize];
        let wants = (file.can_read && file.on_readable.is_some()) || (file.can_write && file.on_writable.is_some());
        if wants && !file.on_ready_list {
            file.on_ready_list = true;
            self.ready.push(index);
        }
    }

    /// Fires `procedure` once, `delay_ms` milliseconds from now.
    pub fn create_time_event(&mut self, clock: &Clock, delay_ms: u64, procedure: P) {
        self.times.push(TimeEvent { when_us: clock.monotonic_us() + delay_ms * 1000, procedure });
    }

    /// Fires `procedure` every `interval_us` microseconds from now on, until the interval is 0. There is one ticker; it
    /// spares the time events that would have to be made anew in each turn.
    pub fn set_ticker(&mut self, interval_us: u64, procedure: P) -> io::Result<()> {
        if self.ticker.is_none() {
            let ticker = Ticker::new()?;
            let id = self.add_file(&mut SourceFd(&ticker.as_raw_fd()))?;
            self.create_file_event(id, Interest::Readable, procedure);
            self.ticker = Some((ticker, id));
        }
        let Some((ticker, _)) = &self.ticker else { return Ok(()) };
        ticker.set(interval_us)
    }

    /// Waits for events (not longer than until the next time event; not at all where a file is on the ready list) and
    /// puts what has fired into `fired`: files first, in the order of the kernel, then times.
    pub fn poll(&mut self, clock: &Clock, fired: &mut Vec<Fired<P>>) -> io::Result<()> {
        let timeout = if self.ready.is_empty() {
            self.next_time_us().map(|when| Duration::from_micros(when.saturating_sub(clock.monotonic_us())))
        } else {
            Some(Duration::ZERO)
        };
        match &mut self.kernel {
            Some((poll, events)) => match poll.poll(events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                other => other?,
            },
            None => self.call_all_ready(),
        }
        self.note_edges();
        self.fire_files(fired);
        self.fire_times(clock, fired);
        Ok(())
    }

    /// As `poll`, without waiting, and for files alone.
    pub fn poll_now(&mut self, fired: &mut Vec<Fired<P>>) -> io::Result<()> {
        if let Some((poll, events)) = &mut self.kernel {
            match poll.poll(events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                other => other?,
            }
        }
        self.note_edges();
        self.fire_files(fired);
        Ok(())
    }

    /// In a simulation any file may have become ready.
    fn call_all_ready(&mut self) {
        for index in 0..self.files.len() as u32 {
            let file = &mut self.files[index as usize];
            file.can_read = file.in_use;
            file.can_write = file.in_use;
            if file.in_use {
                self.remember_if_ready(index);
            }
        }
    }

    fn note_edges(&mut self) {
        let Some((_, events)) = &self.kernel else { return };
        for event in events {
            let Token(token) = event.token();
            let (index, generation) = (token as u32, (token >> 32) as u32);
            let file = &mut self.files[index as usize];
            if !file.in_use || file.generation != generation {
                continue;
            }
            let failed = event.is_error();
            file.can_read |= event.is_readable() || event.is_read_closed() || failed;
            file.can_write |= event.is_writable() || event.is_write_closed() || failed;
            file.read_closed |= event.is_read_closed() || failed;
            let wants = (file.can_read && file.on_readable.is_some()) || (file.can_write && file.on_writable.is_some());
            if wants && !file.on_ready_list {
                file.on_ready_list = true;
                self.ready.push(index);
            }
        }
    }

    /// Fires what is on the ready list. A file stays on it as long as it is ready; that is found out in the next turn,
    /// after its procedures have run.
    fn fire_files(&mut self, fired: &mut Vec<Fired<P>>) {
        let ticker = self.ticker.as_ref();
        let files = &mut self.files;
        self.ready.retain(|&index| {
            let file = &mut files[index as usize];
            let id = FileId { index, generation: file.generation };
            let read = file.on_readable.filter(|_| file.can_read);
            let write = file.on_writable.filter(|_| file.can_write);
            fired.extend(read.map(|procedure| Fired::File(id, procedure)));
            fired.extend(write.map(|procedure| Fired::File(id, procedure)));
            if let Some((ticker, _)) = ticker.filter(|(_, ticking)| *ticking == id) {
                ticker.acknowledge();
                file.can_read = false;
            }
            file.on_ready_list = file.in_use && (read.is_some() || write.is_some());
            file.on_ready_list
        });
    }

    /// To be called after the fired procedures ran: takes from the ready list what is not ready any more, so that the
    /// next `poll` may sleep.
    pub fn settle(&mut self) {
        let files = &mut self.files;
        self.ready.retain(|&index| {
            let file = &mut files[index as usize];
            file.on_ready_list = file.in_use
                && ((file.can_read && file.on_readable.is_some()) || (file.can_write && file.on_writable.is_some()));
            file.on_ready_list
        });
    }

    fn fire_times(&mut self, clock: &Clock, fired: &mut Vec<Fired<P>>) {
        if self.times.is_empty() {
            return;
        }
        let now = clock.monotonic_us();
        let mut due: Vec<TimeEvent<P>> = self.times.extract_if(.., |time| time.when_us <= now).collect();
        due.sort_by_key(|time| time.when_us);
        fired.extend(due.into_iter().map(|time| Fired::Time(time.procedure)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn turn(event_loop: &mut EventLoop<u32>) -> Vec<u32> {
        let mut fired = Vec::new();
        event_loop.poll(&Clock::System, &mut fired).unwrap();
        fired
            .iter()
            .map(|fired| match *fired {
                Fired::File(_, p) | Fired::Time(p) => p,
            })
            .collect()
    }

    #[test]
    fn what_is_not_drained_is_remembered_and_the_end_is_not_lost() {
        let mut event_loop = EventLoop::new(16).unwrap();
        let (mut ours, mut theirs) = mio::net::UnixStream::pair().unwrap();
        let id = event_loop.add_file(&mut ours).unwrap();
        event_loop.create_file_event(id, Interest::Readable, 1);
        event_loop.create_time_event(&Clock::System, 5000, 9);
        theirs.write_all(b"abcd").unwrap();
        let mut two = [0; 2];
        for _ in 0..2 {
            assert_eq!(turn(&mut event_loop), [1]);
            assert_eq!(ours.read(&mut two).unwrap(), 2);
            event_loop.settle();
        }
        // The buffer was filled both times, so it fires once more and only now meets the end.
        assert_eq!(turn(&mut event_loop), [1]);
        assert_eq!(ours.read(&mut two).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        event_loop.would_block(id, Interest::Readable);
        event_loop.settle();
        theirs.write_all(b"x").unwrap();
        drop(theirs);
        // The data and the end may come as one edge: a short read must not hide the end.
        for expected in [1, 0] {
            assert_eq!(turn(&mut event_loop), [1]);
            assert_eq!(ours.read(&mut two).unwrap(), expected);
            event_loop.short_read(id);
            event_loop.settle();
        }
        event_loop.remove_file(id, &mut ours);
    }

    #[test]
    fn a_ticker_fires_at_each_tick_until_it_is_stopped() {
        let mut event_loop = EventLoop::new(16).unwrap();
        event_loop.create_time_event(&Clock::System, 60_000, 9);
        event_loop.set_ticker(50, 3).unwrap();
        for _ in 0..5 {
            assert_eq!(turn(&mut event_loop), [3]);
            event_loop.settle();
        }
        event_loop.set_ticker(0, 3).unwrap();
        event_loop.create_time_event(&Clock::System, 2, 7);
        assert_eq!(turn(&mut event_loop), [7]);
    }

    #[test]
    fn writable_is_remembered_until_somebody_wants_it_and_dead_ids_are_deaf() {
        let mut event_loop = EventLoop::new(16).unwrap();
        let (mut ours, _theirs) = mio::net::UnixStream::pair().unwrap();
        let id = event_loop.add_file(&mut ours).unwrap();
        event_loop.create_time_event(&Clock::System, 0, 7);
        assert_eq!(turn(&mut event_loop), [7]);
        event_loop.create_file_event(id, Interest::Writable, 2);
        assert!(event_loop.awaits_writable(id));
        assert_eq!(turn(&mut event_loop), [2]);
        event_loop.delete_file_event(id, Interest::Writable);
        event_loop.settle();
        event_loop.remove_file(id, &mut ours);
        let (mut other, _peer) = mio::net::UnixStream::pair().unwrap();
        let successor = event_loop.add_file(&mut other).unwrap();
        assert_ne!(id, successor);
        event_loop.create_file_event(id, Interest::Writable, 3);
        event_loop.create_time_event(&Clock::System, 0, 8);
        assert_eq!(turn(&mut event_loop), [8]);
    }
}
