//! A file of JSON Lines: one CloudEvent in structured mode a line. What waits is synced together.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    slice,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Delivery, Sink};
use crate::{config::sink::FileConfig, domain::Record};

/// The most lines of one sync.
const MOST_LINES: usize = 64;

/// Appends to a file and rotates it by size.
pub struct FileSink {
    name: String,
    lines: Arc<Mutex<Lines>>,
}

struct Lines {
    path: PathBuf,
    rotate_at: u64,
    keep: usize,
    /// The file and its length; opened with the first record, and anew after a failure.
    open: Option<(File, u64)>,
}

impl FileSink {
    /// A sink that opens its file with the first record.
    #[must_use]
    pub fn new(config: &FileConfig) -> Self {
        let lines = Lines {
            path: config.path.clone(),
            rotate_at: config.rotate_at.as_u64(),
            keep: config.keep.get(),
            open: None,
        };
        Self {
            name: config.name.as_str().to_owned(),
            lines: Arc::new(Mutex::new(lines)),
        }
    }
}

#[async_trait]
impl Sink for FileSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, impact: &Record) -> Delivery {
        self.deliver_all(slice::from_ref(impact)).await
    }

    fn batch(&self) -> usize {
        MOST_LINES
    }

    async fn deliver_all(&self, impacts: &[Record]) -> Delivery {
        let new: Vec<String> = impacts
            .iter()
            .map(|impact| format!("{}\n", impact.to_cloudevent()))
            .collect();
        let lines = Arc::clone(&self.lines);
        let written = tokio::task::spawn_blocking(move || {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.append(&new)
        });
        match written.await {
            Ok(Ok(())) => Delivery::Done,
            Ok(Err(error)) => read_failure(&error),
            Err(stopped) => Delivery::Retry {
                why: format!("the file was not written: {stopped}"),
                after: None,
            },
        }
    }
}

fn read_failure(error: &io::Error) -> Delivery {
    let why = format!("the file cannot be written: {error}");
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::ReadOnlyFilesystem => Delivery::Park { why },
        // A full disk among them: somebody makes room, and it goes on.
        _ => Delivery::Retry { why, after: None },
    }
}

impl Lines {
    /// Appends all of `lines`, with one sync a file.
    fn append(&mut self, mut lines: &[String]) -> io::Result<()> {
        while let Some(first) = lines.first() {
            let (file, length) = self.open_for(first)?;
            let mut text = String::new();
            let mut rest = lines.iter();
            for line in lines {
                let size = length.saturating_add((text.len() + line.len()) as u64);
                if !text.is_empty() && size > self.rotate_at {
                    break;
                }
                text.push_str(line);
                rest.next();
            }
            self.write(file, length, &text)?;
            lines = rest.as_slice();
        }
        Ok(())
    }

    /// The file and its length; the next one when `line` does not fit.
    fn open_for(&mut self, line: &str) -> io::Result<(File, u64)> {
        let (file, length) = match self.open.take() {
            Some(open) => open,
            None => open_repaired(&self.path)?,
        };
        if length == 0 || length.saturating_add(line.len() as u64) <= self.rotate_at {
            return Ok((file, length));
        }
        drop(file);
        self.rotate()?;
        open_repaired(&self.path)
    }

    fn write(&mut self, mut file: File, length: u64, text: &str) -> io::Result<()> {
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Take back what is there of it; if that fails too, opening completes the last line.
            let taken_back = file.set_len(length);
            if let Err(reason) = taken_back {
                tracing::warn!(%reason, "a torn line stays in the file");
            }
            return Err(error);
        }
        self.open = Some((file, length + text.len() as u64));
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            rename_existing(&self.old(number), &self.old(number + 1))?;
        }
        rename_existing(&self.path, &self.old(1))
    }

    fn old(&self, number: usize) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn rename_existing(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Opens the file at its end, after completing a last line that a crash tore.
fn open_repaired(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)?;
    let mut length = file.metadata()?.len();
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            length += 1;
        }
    }
    // A new name is durable only with its folder.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroUsize, path::Path, time::Duration};

    use bytesize::ByteSize;
    use serde_json::{Value, json};

    use super::FileSink;
    use crate::{
        config::sink::FileConfig,
        domain::{Record, Topic},
        sinks::{Delivery, Sink as _},
    };

    fn sink(path: &Path, rotate_at: u64, keep: usize) -> FileSink {
        FileSink::new(&FileConfig {
            name: "archive".to_owned().try_into().unwrap(),
            path: path.to_owned(),
            rotate_at: ByteSize::b(rotate_at),
            keep: NonZeroUsize::new(keep).unwrap(),
            probe_every: Duration::from_mins(5),
        })
    }

    fn record(id: &str) -> Record {
        Record::json(Topic::Impacts, "k".to_owned(), &json!({ "text": "a\nb" }))
            .id(id.to_owned())
            .kind("offkey.impact.v1")
    }

    fn ids(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let id = |line| serde_json::from_str::<Value>(line).unwrap()["id"].clone();
        text.lines()
            .map(id)
            .map(|id| id.as_str().unwrap().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn each_record_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("impacts.jsonl");
        let sink = sink(&path, 1_000_000, 1);
        for id in ["a", "b"] {
            assert_eq!(sink.deliver(&record(id)).await, Delivery::Done);
        }
        assert_eq!(ids(&path), ["a", "b"]);
        let line = fs::read_to_string(&path).unwrap();
        let event: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        assert_eq!(event, record("a").to_cloudevent());
    }

    #[tokio::test]
    async fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("impacts.jsonl");
        let sink = sink(&path, 1, 2);
        for id in ["a", "b", "c", "d"] {
            assert_eq!(sink.deliver(&record(id)).await, Delivery::Done);
        }
        assert_eq!(ids(&path), ["d"]);
        assert_eq!(ids(&folder.path().join("impacts.jsonl.1")), ["c"]);
        assert_eq!(ids(&folder.path().join("impacts.jsonl.2")), ["b"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[tokio::test]
    async fn what_is_delivered_together_is_there_in_order_and_rotated_where_a_file_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("impacts.jsonl");
        let names: Vec<String> = (10..50).map(|number| format!("record-{number}")).collect();
        let records: Vec<Record> = names.iter().map(|name| record(name)).collect();
        let size = records[0].to_cloudevent().to_string().len() as u64 + 1;
        let sink = sink(&path, 15 * size, 9);
        assert_eq!(sink.deliver_all(&records[..10]).await, Delivery::Done);
        assert_eq!(sink.deliver_all(&records[10..]).await, Delivery::Done);
        let old = |number| folder.path().join(format!("impacts.jsonl.{number}"));
        assert_eq!(ids(&old(2)), names[..15]);
        assert_eq!(ids(&old(1)), names[15..30]);
        assert_eq!(ids(&path), names[30..]);
    }

    #[tokio::test]
    async fn a_torn_last_line_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("impacts.jsonl");
        fs::write(&path, "{\"id\":\"torn").unwrap();
        let sink = sink(&path, 1_000_000, 1);
        assert_eq!(sink.deliver(&record("a")).await, Delivery::Done);
        let text = fs::read_to_string(&path).unwrap();
        let (torn, rest) = text.split_once('\n').unwrap();
        assert_eq!(torn, "{\"id\":\"torn");
        assert!(rest.starts_with('{') && rest.ends_with("}\n"), "{rest}");
    }

    #[tokio::test]
    async fn a_full_disk_is_tried_again() {
        if !Path::new("/dev/full").exists() {
            eprintln!("NOT TESTED: /dev/full is absent");
            return;
        }
        let delivery = sink(Path::new("/dev/full"), 1_000_000, 1)
            .deliver(&record("a"))
            .await;
        assert!(matches!(delivery, Delivery::Retry { .. }), "{delivery:?}");
    }

    #[tokio::test]
    async fn a_missing_folder_parks_the_sink() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/impacts.jsonl");
        let delivery = sink(&path, 1_000_000, 1).deliver(&record("a")).await;
        assert!(matches!(delivery, Delivery::Park { .. }), "{delivery:?}");
    }
}
