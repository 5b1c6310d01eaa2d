//! Questions about everybody: `offkey preview --file` and `offkey exposure` beside a projection of
//! 1,000,000 keys.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use offkey::{app, clock::SystemClock, projection};

use crate::{
    figures::{Figures, median},
    memory::{BINARY, KEYS_EACH, PEOPLE, Served, field},
    stand::{append, configure},
    world,
};

/// One: it takes a minute.
const ROUNDS: usize = 1;
/// Beside how few people memory is looked at.
const FEW: usize = 5_000;

/// How long everybody takes, and how much memory; the floors read every key, and ask of few.
pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let folder = folder.path();
    fill(folder)?;
    // It builds the projection, and ends.
    Served::start(folder)?.rest()?;
    let (few, all) = (folder.join("few"), folder.join("all"));
    fs::write(&few, people(FEW)?)?;
    fs::write(&all, people(PEOPLE)?)?;
    let preview = |file: &Path| run(folder, &["preview", "--file", &file.display().to_string()]);
    let (mut took, mut floor, mut exposure) = (Vec::new(), Vec::new(), Vec::new());
    let (mut most, mut least, mut exposed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(read_all(folder)?.as_secs_f64());
        least.push(preview(&few)?.1);
        let (time, memory) = preview(&all)?;
        took.push(time.as_secs_f64());
        most.push(memory);
        let (time, memory) = run(folder, &["exposure"])?;
        exposure.push(time.as_secs_f64());
        exposed.push(memory);
    }
    let (floor, least) = (median(&mut floor), median(&mut least));
    let name = "preview of 50,000 people x 20 keys (floor: reading the keys)";
    figures.add(name, "s", median(&mut took), floor);
    let name = "preview of 50,000 people: most memory (floor: of 5,000)";
    figures.add(name, "MB", median(&mut most), least);
    let name = "exposure of 50,000 people x 20 keys (floor: reading the keys)";
    figures.add(name, "s", median(&mut exposure), floor);
    let name = "exposure of 50,000 people: most memory (floor: preview of 5,000)";
    figures.add(name, "MB", median(&mut exposed), least);
    Ok(())
}

/// Keys, and projects with two owners each.
fn fill(folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let config = configure(folder, ([127, 0, 0, 1], 0).into())?;
    let log = app::serve_log(&config, Arc::new(SystemClock))?;
    let owners = (0..world::PROJECTS)
        .flat_map(|project| (0..2).map(move |number| world::owner(project, number)));
    let projects = (0..world::PROJECTS).map(|project| Ok(world::project(project)));
    append(&runtime, log.as_ref(), projects.chain(owners))?;
    append(&runtime, log.as_ref(), world::keys(0..PEOPLE, KEYS_EACH))?;
    drop(log);
    // The maintenance thread ends with its next look.
    thread::sleep(Duration::from_secs(1));
    Ok(())
}

fn people(count: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    for person in 0..count {
        writeln!(text, "{}", world::address(person))?;
    }
    Ok(text)
}

/// How long the command takes, and the most memory it ever had, in megabytes.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> anyhow::Result<(Duration, f64)> {
    let begin = Instant::now();
    let mut process = Command::new(BINARY)
        .arg("--config")
        .arg(folder.join("offkey.toml"))
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()?;
    let path = format!("/proc/{}/status", process.id());
    let mut most = 0.0;
    let status = loop {
        // Where it has just ended there is no such field.
        let memory = fs::read_to_string(&path).map(|status| field(&status, "VmHWM:"));
        if let Ok(Ok(memory)) = memory {
            most = f64::max(most, memory);
        }
        if let Some(status) = process.try_wait()? {
            break status;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let code = status.code();
    anyhow::ensure!(matches!(code, Some(0 | 3)), "{arguments:?}: {status}");
    Ok((begin.elapsed(), most))
}

/// Reads the bodies of all keys, and does nothing with them.
fn read_all(folder: &Path) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let db = projection::open_reader(&folder.join("data"))?;
    let mut statement = db.prepare("SELECT body FROM keys")?;
    let mut rows = statement.query([])?;
    let (mut keys, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        keys += 1;
        bytes += row.get_ref(0)?.as_str()?.len();
    }
    anyhow::ensure!(keys == PEOPLE * KEYS_EACH && bytes > 0, "{keys} keys");
    Ok(begin.elapsed())
}
