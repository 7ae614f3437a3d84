//! `oom-score-adj`: whom the kernel is to kill first when memory is out; children before replicas before masters
//! (= setOOMScoreAdj of server.c).

use super::Server;
use crate::base::disk::Disk;
use crate::base::process;
use crate::config::{OomScoreAdj, reason};
use std::io;

/// What a process is, as an index into `oom-score-adj-values`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomClass {
    /// A server that follows nobody.
    Master = 0,
    /// One that follows a master.
    Replica = 1,
    /// The child that makes a snapshot.
    Child = 2,
}

/// What the kernel is to be told, given what it knew when we started.
fn wanted(how: OomScoreAdj, values: [i32; 3], class: OomClass, at_start: i32) -> i32 {
    let value = values[class as usize];
    let sum = match how {
        OomScoreAdj::No => at_start,
        OomScoreAdj::Yes | OomScoreAdj::Relative => at_start.saturating_add(value),
        OomScoreAdj::Absolute => value,
    };
    sum.clamp(-1000, 1000)
}

impl Server {
    /// Tells the kernel what the settings say of what we are now.
    pub(super) fn follow_oom_score_adj(&mut self) -> io::Result<()> {
        let class = if self.repl.is_replica() { OomClass::Replica } else { OomClass::Master };
        self.apply_oom_score_adj(class)
    }

    /// The same of a process of this class. Who never asked for it is left alone.
    pub(super) fn apply_oom_score_adj(&mut self, class: OomClass) -> io::Result<()> {
        let how = self.config.oom_score_adj;
        let untouched = how == OomScoreAdj::No && self.host.oom_score_at_start.is_none();
        if untouched || !matches!(self.disk, Disk::System) {
            return Ok(());
        }
        let at_start = match self.host.oom_score_at_start {
            Some(known) => known,
            None => process::oom_score_adj()?,
        };
        self.host.oom_score_at_start = Some(at_start);
        let value = wanted(how, self.config.oom_score_adj_values, class, at_start);
        process::set_oom_score_adj(value).inspect_err(|error| {
            log::warn!("Unable to write oom_score_adj: {}", reason(error));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_add_to_that_of_the_start_unless_they_are_absolute() {
        let values = [10, 200, 800];
        for (how, class, at_start, expected) in [
            (OomScoreAdj::No, OomClass::Child, 7, 7),
            (OomScoreAdj::Yes, OomClass::Master, 7, 17),
            (OomScoreAdj::Relative, OomClass::Replica, -7, 193),
            (OomScoreAdj::Absolute, OomClass::Child, 7, 800),
            (OomScoreAdj::Yes, OomClass::Child, 500, 1000),
        ] {
            assert_eq!(wanted(how, values, class, at_start), expected, "{how:?} {class:?}");
        }
    }
}
