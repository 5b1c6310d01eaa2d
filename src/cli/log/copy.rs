//! `offkey log copy`: everything from one log into another.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use comfy_table::Cell;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    super::{Context, End, output},
    sinks,
};
use crate::{
    app::{self, Place},
    log::{
        copy::{self, Carried, Copied, Done},
        lock_folder,
    },
};

/// From where, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct Copy {
    /// `kafka` (the cluster in [log.kafka]), `embedded` (the folder in log.path), or a folder.
    #[arg(long, value_name = "LOG", value_parser = parse)]
    from: Named,
    /// The same.
    #[arg(long, value_name = "LOG", value_parser = parse)]
    to: Named,
}

/// How a log is named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Kafka,
    Embedded,
    Folder(PathBuf),
}

#[expect(clippy::unnecessary_wraps, reason = "clap wants a result")]
fn parse(text: &str) -> Result<Named, String> {
    Ok(match text {
        "kafka" => Named::Kafka,
        "embedded" => Named::Embedded,
        folder => Named::Folder(folder.into()),
    })
}

impl Named {
    fn place(&self, context: &Context) -> Place {
        match self {
            Self::Kafka => Place::Cluster,
            Self::Embedded => Place::Folder(context.config.log.path.clone()),
            Self::Folder(folder) => Place::Folder(folder.clone()),
        }
    }
}

impl Copy {
    pub(super) async fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (from, to) = (self.from.place(context), self.to.place(context));
        if is_same(&from, &to) {
            anyhow::bail!("both are the same log; name two with --from and --to");
        }
        let config = &context.config;
        // Where an instance of the cluster runs on this machine, it has this folder.
        let own = &config.log.path;
        let is_other = |place: &Place| !is_same(place, &Place::Folder(own.clone()));
        let _instance = if own.exists() && is_other(&from) && is_other(&to) {
            Some(lock_folder(own)?)
        } else {
            None
        };
        let source = app::log_to_read(config, &from, context.clock.clone())?;
        let target = app::log_to_fill(config, &to, context.clock.clone())?;
        let note = note(&from, &to)?;
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
            "{wide_bar} {human_pos} of {human_len}, {eta} left",
        )?);
        let follow: Vec<_> = sinks(context).collect();
        let copied = copy::copy(&*source, &*target, &note, &follow, &|progress| {
            bar.set_length(progress.all);
            bar.set_position(progress.done);
        })
        .await;
        bar.finish_and_clear();
        let copied = copied.context("the same command goes on where this one stopped")?;
        show(context, &copied)?;
        let wrong: Vec<&str> = copied
            .topics
            .iter()
            .filter(|one| !one.is_whole())
            .map(|one| one.topic.name())
            .collect();
        if !wrong.is_empty() {
            anyhow::bail!(
                "the target does not hold what the source does: {}",
                wrong.join(", ")
            );
        }
        Ok(End::Done)
    }
}

fn is_same(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Cluster, Place::Cluster) => true,
        (Place::Folder(one), Place::Folder(other)) => {
            let real = |folder: &Path| fs::canonicalize(folder).ok();
            one == other || (real(one).is_some() && real(one) == real(other))
        }
        _ => false,
    }
}

/// Where it is noted how far the copy came: beside the folder that takes part in it.
fn note(from: &Place, to: &Place) -> anyhow::Result<PathBuf> {
    let ((Place::Folder(folder), _) | (Place::Cluster, Place::Folder(folder))) = (from, to) else {
        anyhow::bail!("one of the logs has to be a folder");
    };
    let folder = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
    let mut name = OsString::from(folder);
    name.push(".copy.json");
    Ok(name.into())
}

fn show(context: &Context, copied: &Done) -> anyhow::Result<()> {
    if context.output.json {
        let is_whole = copied.topics.iter().all(Copied::is_whole);
        let groups: BTreeMap<_, _> = copied.groups.iter().cloned().collect();
        let report = serde_json::json!({
            "whole": is_whole, "topics": copied.topics, "groups": groups,
        });
        return context.output.json(&report);
    }
    let mut table = output::table(&["topic", "records in the source", "in the target", "digest"]);
    for one in &copied.topics {
        let digest = if one.is_whole() { "same" } else { "DIFFERS" };
        table.add_row([
            Cell::new(one.topic),
            Cell::new(one.source.records),
            Cell::new(one.target.records),
            Cell::new(digest),
        ]);
    }
    context.output.table(&table)?;
    for (group, carried) in &copied.groups {
        let what = match carried {
            Carried::Over => "goes on where it was",
            Carried::Nowhere => "had not begun, and begins at the beginning",
            Carried::Kept => "stays where the target has it, which was in use before",
        };
        context.output.line(&format!("{group} {what}"))?;
    }
    Ok(())
}
