//! The door to files: the system's disk, or one that a simulation holds in memory and may cut short, tear or fill.
//!
//! Every file of the data set goes through here: the snapshot that is written, the one that comes from a master, the
//! one that is loaded. What a crash may leave of a file is decided in one place, `SimulatedDisk::crash`.
//!
//! Deliberately absent: the log file and the configuration file, which no simulation has.

use super::rng::Rng;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where files are.
#[derive(Debug, Default)]
pub enum Disk {
    /// The operating system's.
    #[default]
    System,
    /// One in memory.
    Simulated(SimulatedDisk),
}

/// An open file.
#[derive(Debug)]
pub enum DiskFile {
    /// Of the system.
    System(File),
    /// Of a simulated disk: which one, and where the next read begins.
    Simulated {
        /// The file's number; a name is only a way to it.
        number: u64,
        /// Where the next read begins.
        position: usize,
    },
}

impl DiskFile {
    /// Another handle on the same file, whatever becomes of its name.
    pub fn another(&self) -> io::Result<DiskFile> {
        match self {
            DiskFile::System(file) => file.try_clone().map(DiskFile::System),
            DiskFile::Simulated { number, .. } => Ok(DiskFile::Simulated { number: *number, position: 0 }),
        }
    }
}

impl Disk {
    /// Makes a file to write and read, or empties the one there is.
    pub fn create(&mut self, path: &Path) -> io::Result<DiskFile> {
        match self {
            Disk::System => {
                let mut how = File::options();
                how.read(true).write(true).create(true).truncate(true).open(path).map(DiskFile::System)
            }
            Disk::Simulated(disk) => Ok(disk.create(path)),
        }
    }

    /// Makes a file that must not be there yet.
    pub fn create_new(&mut self, path: &Path) -> io::Result<DiskFile> {
        match self {
            Disk::System => File::options().write(true).create_new(true).open(path).map(DiskFile::System),
            Disk::Simulated(disk) if disk.names.contains_key(path) => Err(io::ErrorKind::AlreadyExists.into()),
            Disk::Simulated(disk) => Ok(disk.create(path)),
        }
    }

    /// Opens a file to read it.
    pub fn open(&self, path: &Path) -> io::Result<DiskFile> {
        match self {
            Disk::System => File::open(path).map(DiskFile::System),
            Disk::Simulated(disk) => {
                let number = disk.names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
                Ok(DiskFile::Simulated { number, position: 0 })
            }
        }
    }

    /// How many bytes a file has.
    pub fn len(&self, file: &DiskFile) -> io::Result<u64> {
        match (self, file) {
            (_, DiskFile::System(file)) => file.metadata().map(|data| data.len()),
            (Disk::Simulated(disk), DiskFile::Simulated { number, .. }) => Ok(disk.content(*number)?.len() as u64),
            (Disk::System, DiskFile::Simulated { .. }) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Reads once; 0 is the end of the file.
    pub fn read(&self, file: &mut DiskFile, buffer: &mut [u8]) -> io::Result<usize> {
        match (self, file) {
            (_, DiskFile::System(file)) => file.read(buffer),
            (Disk::Simulated(disk), DiskFile::Simulated { number, position }) => {
                let content = disk.content(*number)?;
                let rest = &content[(*position).min(content.len())..];
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                *position += count;
                Ok(count)
            }
            (Disk::System, DiskFile::Simulated { .. }) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// All that a file holds.
    pub fn read_whole(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut file = self.open(path)?;
        let mut text = Vec::new();
        let mut part = [0; 4096];
        loop {
            match self.read(&mut file, &mut part)? {
                0 => return Ok(text),
                count => text.extend_from_slice(&part[..count]),
            }
        }
    }

    /// Puts a file in the place of the one of that name: it is the new one as a whole or the old one.
    pub fn replace(&mut self, path: &Path, text: &[u8]) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!("-{}.tmp", super::process::pid()));
        let temp = path.with_file_name(name);
        let written = self.create(&temp).and_then(|mut file| {
            self.write_all(&mut file, text)?;
            self.sync(&file)
        });
        let replaced = written.and_then(|()| self.rename(&temp, path));
        if replaced.is_err() {
            // It may not even have been made; the first error is the one to tell.
            let _ = self.remove(&temp);
        }
        replaced?;
        self.sync_directory(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }

    /// Reads once from a place in the file, whatever was read before; 0 is the end of the file.
    pub fn read_at(&self, file: &DiskFile, place: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match file {
            DiskFile::System(file) => file.read_at(buffer, place),
            DiskFile::Simulated { number, .. } => {
                self.read(&mut DiskFile::Simulated { number: *number, position: place as usize }, buffer)
            }
        }
    }

    /// Adds bytes at a file's end, all of them.
    pub fn write_all(&mut self, file: &mut DiskFile, bytes: &[u8]) -> io::Result<()> {
        match (self, file) {
            (_, DiskFile::System(file)) => file.write_all(bytes),
            (Disk::Simulated(disk), DiskFile::Simulated { number, .. }) => disk.append(*number, bytes),
            (Disk::System, DiskFile::Simulated { .. }) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Forces what was written to the medium.
    pub fn sync(&mut self, file: &DiskFile) -> io::Result<()> {
        match (self, file) {
            (_, DiskFile::System(file)) => file.sync_all(),
            (Disk::Simulated(disk), DiskFile::Simulated { number, .. }) => disk.sync(*number),
            (Disk::System, DiskFile::Simulated { .. }) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives a file another name; a file of that name is gone then.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Disk::System => fs::rename(from, to),
            Disk::Simulated(disk) => {
                let number = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
                disk.names.insert(to.to_path_buf(), number);
                Ok(())
            }
        }
    }

    /// Makes a directory, unless it is there.
    pub fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        match self {
            Disk::System => match fs::create_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            },
            // Names of a simulation are whole paths.
            Disk::Simulated(_) => Ok(()),
        }
    }

    /// Takes a file's name away.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        match self {
            Disk::System => fs::remove_file(path),
            Disk::Simulated(disk) => disk.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    /// Forces the names in a directory to the medium.
    pub fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        match self {
            Disk::System => File::open(path)?.sync_all(),
            Disk::Simulated(disk) => {
                disk.durable_names = disk.names.clone();
                Ok(())
            }
        }
    }
}

/// A file that bytes are streamed into, forced to the medium step by step so that the end does not wait for all of it.
#[derive(Debug)]
pub struct DiskWriter<'a> {
    /// The disk.
    pub disk: &'a mut Disk,
    /// The file.
    pub file: &'a mut DiskFile,
    /// After so many bytes the file is forced to the medium; none: only at the end.
    pub sync_step: Option<usize>,
    /// Bytes that were not yet.
    pub unsynced: usize,
}

impl Write for DiskWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(self.sync_step.unwrap_or(usize::MAX))];
        self.disk.write_all(self.file, part)?;
        self.unsynced += part.len();
        if self.sync_step.is_some_and(|step| self.unsynced >= step) {
            self.disk.sync(self.file)?;
            self.unsynced = 0;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
struct SimulatedFile {
    content: Vec<u8>,
    durable_len: usize,
}

/// A disk in memory. What was not forced to the medium may be lost by a crash, in part or as a whole.
#[derive(Debug, Default)]
pub struct SimulatedDisk {
    files: BTreeMap<u64, SimulatedFile>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    last_number: u64,
    /// How many more bytes it takes before it is full; none: it never is.
    pub room: Option<usize>,
}

impl SimulatedDisk {
    fn create(&mut self, path: &Path) -> DiskFile {
        self.last_number += 1;
        self.files.insert(self.last_number, SimulatedFile::default());
        self.names.insert(path.to_path_buf(), self.last_number);
        DiskFile::Simulated { number: self.last_number, position: 0 }
    }

    fn content(&self, number: u64) -> io::Result<&[u8]> {
        self.files.get(&number).map(|file| &file.content[..]).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn append(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let fits = self.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        let file = self.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        file.content.extend_from_slice(&bytes[..fits]);
        if let Some(room) = &mut self.room {
            *room -= fits;
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self, number: u64) -> io::Result<()> {
        let file = self.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        file.durable_len = file.content.len();
        Ok(())
    }

    /// The whole file of this name.
    pub fn file(&self, path: &Path) -> Option<&[u8]> {
        self.content(*self.names.get(path)?).ok()
    }

    /// Forgets the files that no name leads to.
    pub fn tidy_up(&mut self) {
        let names: Vec<u64> = self.names.values().chain(self.durable_names.values()).copied().collect();
        self.files.retain(|number, _| names.contains(number));
    }

    /// What the power cut leaves: of each file what was forced to the medium and, by chance, some of the rest; of
    /// names that were not forced either all changes or none.
    pub fn crash(&mut self, rng: &mut Rng) {
        if rng.below(2) == 0 {
            self.names = self.durable_names.clone();
        }
        self.durable_names = self.names.clone();
        self.tidy_up();
        for file in self.files.values_mut() {
            let torn = file.content.len() - file.durable_len;
            file.content.truncate(file.durable_len + rng.index(torn + 1));
            file.durable_len = file.content.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same steps on both disks; what can be seen must be the same.
    #[test]
    fn a_simulated_disk_does_what_the_systems_does() {
        let folder = std::env::temp_dir().join(format!("understudy-disk-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut seen = Vec::new();
        for mut disk in [Disk::System, Disk::Simulated(SimulatedDisk::default())] {
            let (a, b) = (folder.join("a"), folder.join("b"));
            let mut file = disk.create_new(&a).unwrap();
            let mut writer = DiskWriter { disk: &mut disk, file: &mut file, sync_step: Some(4), unsynced: 0 };
            writer.write_all(b"hello world").unwrap();
            disk.sync(&file).unwrap();
            let again = disk.create_new(&a).unwrap_err().kind();
            disk.rename(&a, &b).unwrap();
            disk.sync_directory(&folder).unwrap();
            let gone = disk.open(&a).unwrap_err().kind();
            let mut file = disk.open(&b).unwrap();
            let (mut buffer, mut read) = ([0; 8], Vec::new());
            loop {
                let count = disk.read(&mut file, &mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                read.push(buffer[..count].to_vec());
            }
            let len = disk.len(&file).unwrap();
            let again_from = file.another().unwrap();
            let count = disk.read_at(&again_from, 6, &mut buffer).unwrap();
            read.push(buffer[..count].to_vec());
            disk.create(&b).unwrap();
            let emptied = disk.len(&disk.open(&b).unwrap()).unwrap();
            disk.remove(&b).unwrap();
            seen.push((again, gone, read, len, emptied, disk.remove(&b).unwrap_err().kind()));
        }
        assert_eq!(seen[0], seen[1]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_crash_keeps_what_was_forced_and_tears_the_rest() {
        let mut rng = Rng::new(3);
        let (mut lens, mut kept) = ([0; 11], 0);
        for _ in 0..500 {
            let mut disk = Disk::Simulated(SimulatedDisk::default());
            let path = Path::new("f");
            let mut file = disk.create(path).unwrap();
            disk.write_all(&mut file, b"12345").unwrap();
            disk.sync(&file).unwrap();
            disk.sync_directory(Path::new(".")).unwrap();
            disk.write_all(&mut file, b"67890").unwrap();
            disk.rename(path, Path::new("g")).unwrap();
            let Disk::Simulated(disk) = &mut disk else { unreachable!() };
            disk.crash(&mut rng);
            kept += usize::from(disk.file(path).is_some());
            let content = disk.file(path).or(disk.file(Path::new("g"))).unwrap();
            assert!(b"1234567890".starts_with(content));
            lens[content.len()] += 1;
        }
        assert!((150..350).contains(&kept), "{kept}");
        assert!(lens[..5].iter().all(|&n| n == 0) && lens[5..].iter().all(|&n| n > 0), "{lens:?}");
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_says_so() {
        let mut disk = Disk::Simulated(SimulatedDisk { room: Some(3), ..SimulatedDisk::default() });
        let mut file = disk.create(Path::new("f")).unwrap();
        assert_eq!(disk.write_all(&mut file, b"12345").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.len(&file).unwrap(), 3);
    }
}
