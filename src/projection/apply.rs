//! Takes records in: each topic into its tables, in any order of topics.

use std::{borrow::Cow, iter};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Lens, ProjectionError, Said, awaited, curation,
    history::bodies,
    impacts,
    people::{Shown, account, member_account, person_at_once, person_of_change},
    touch::{Place, Touched, touch_change, touch_makers, touch_project, touch_taken_over},
};
use crate::domain::{
    Email, Impact, Key, Member, MembershipChange, Outcome, Project, Record, Topic,
    delivery::{DeadLetter, DeliveryRecord},
    inventory::SnapshotSummary,
    passed::Passed,
    quarantine::{Quarantined, Refused},
    reminder::Reminder,
};

type Done = Result<(), ProjectionError>;

/// Applies `records` in their order.
pub(super) fn apply<'a>(
    db: &Transaction<'_>,
    records: impl Iterator<Item = (&'a Record, Place)>,
    lens: Lens<'_>,
) -> Done {
    let mut touched = Touched::default();
    for (record, place) in records {
        touched.cause = place;
        match apply_one(db, record, lens, &mut touched) {
            // One record that nobody can read must not stop those behind it.
            Err(ProjectionError::Record(error)) => reject(db, record, place, &error.to_string())?,
            other => other?,
        }
    }
    touched.mark(db)
}

fn apply_one(db: &Transaction<'_>, record: &Record, lens: Lens<'_>, touched: &mut Touched) -> Done {
    if record.topic != Topic::Inventory {
        // It can say whose an account is; so can a member.
        touched.maker = None;
    }
    for kind in [MembershipChange::TYPE, Outcome::TYPE, Impact::TYPE] {
        record.is_no_newer(kind)?;
    }
    match record.topic {
        Topic::Membership => change(db, record, lens, touched),
        Topic::Inventory => inventory(db, record, lens, touched),
        Topic::Outcomes if record.kind == Passed::TYPE => {
            let change = awaited::pass(db, record)?;
            touch_change(db, touched.cause, &change)
        }
        Topic::Outcomes => outcome(db, &record.read()?, &text(record)),
        Topic::Impacts if record.kind == Reminder::TYPE => awaited::remind(db, record),
        Topic::Impacts => {
            let impact: Impact = record.read()?;
            let change = impact.change_id.to_string();
            if impacts::take(db, &change, iter::once((&impact, text(record))))? {
                // Another process made it, and we may know more than that one did.
                touch_change(db, touched.cause, &change)?;
                awaited::find_out(db, &change)?;
            }
            Ok(())
        }
        Topic::Quarantine => quarantine(db, record),
        Topic::Deliveries => delivery(db, record),
        Topic::DeadLetters => dead_letter(db, record),
        Topic::Curation => curation::take(db, record, lens, touched),
        // Nothing that is asked here is answered from these.
        Topic::Lookups => Ok(()),
    }
}

/// Keeps a record until its quarantine is in the log.
fn reject(db: &Transaction<'_>, record: &Record, (partition, _): Place, why: &str) -> Done {
    tracing::warn!(record.id, %why, "a record cannot be used and goes to quarantine");
    let source = record.source.trim_start_matches("/sources/");
    let quarantined = Quarantined::new(&Refused {
        source,
        received_at: record.heard_at(),
        why,
        event_id: Some(&record.id),
        headers: &[],
        proof_headers: &[],
        body: &record.data,
        keep_payload: true,
    });
    // Its quarantine can have been read before it: topics come in any order.
    db.prepare_cached(
        "INSERT OR IGNORE INTO rejects (id, part, body)
         SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM quarantine WHERE id = ?1)",
    )?
    .execute(params![
        quarantined.id.to_string(),
        partition.number,
        serde_json::to_string(&quarantined)?,
    ])?;
    Ok(())
}

fn text(record: &Record) -> Cow<'_, str> {
    // The lossy way looks at each byte.
    str::from_utf8(&record.data)
        .map_or_else(|_| String::from_utf8_lossy(&record.data), Cow::Borrowed)
}

fn change(db: &Transaction<'_>, record: &Record, lens: Lens<'_>, touched: &mut Touched) -> Done {
    let change: MembershipChange = record.read()?;
    let id = change.id.to_string();
    let known: Option<String> = db
        .prepare_cached("SELECT body FROM changes WHERE id = ?1")?
        .query_row([&id], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        let known: MembershipChange = serde_json::from_str(&known)?;
        return if says_the_same(known, &change) {
            Ok(())
        } else {
            reject(
                db,
                record,
                touched.cause,
                "its event id came before with another content, which counts",
            )
        };
    }
    let rules = &lens.policy.identities.rules;
    let at_once = person_at_once(db, &change, &lens.policy.identities)?;
    let spelled = |email: &Option<Email>| email.as_ref().map(|one| rules.spell(one).to_string());
    db.prepare_cached(
        "INSERT INTO changes
         (id, person, source, account, effective_at, recorded_at, part, partition_key, body,
          email, formerly)
         VALUES (?1, ?11, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        id,
        change.source,
        change.person.account,
        change.effective_at.as_microsecond(),
        record.heard_at().as_microsecond(),
        touched.cause.0.number,
        record.key,
        text(record),
        spelled(&change.person.email),
        spelled(&change.person.formerly),
        at_once.as_deref().unwrap_or_default(),
    ])?;
    let person = match at_once {
        Some(person) => person,
        None => person_of_change(db, &change, lens, touched)?,
    };
    touch_taken_over(db, touched.cause, &change, &person)?;
    touched.insert(person);
    // What came of it may have been read before it.
    awaited::find_out(db, &id)
}

/// Whether `again` repeats `known`.
///
/// Some senders tell no time (GitHub); then it is the time of receipt, another one each time.
fn says_the_same(known: MembershipChange, again: &MembershipChange) -> bool {
    let takes_effect_at_once =
        |change: &MembershipChange| change.effective_at == change.published_at;
    let effective_at = if takes_effect_at_once(&known) && takes_effect_at_once(again) {
        again.effective_at
    } else {
        known.effective_at
    };
    *again
        == MembershipChange {
            published_at: again.published_at,
            effective_at,
            ..known
        }
}

fn inventory(db: &Transaction<'_>, record: &Record, lens: Lens<'_>, touched: &mut Touched) -> Done {
    match record.kind.as_str() {
        Key::TYPE => key(db, record, lens, touched),
        Member::TYPE => member(db, record, lens, touched),
        Project::TYPE => {
            let project: Project = record.read()?;
            db.prepare_cached("INSERT OR REPLACE INTO projects VALUES (?1, ?2, ?3)")?
                .execute(params![project.provider, project.id, text(record)])?;
            touch_project(
                db,
                touched.cause,
                (&project.provider, &project.id),
                i64::MIN,
            )
        }
        SnapshotSummary::TYPE => {
            let snapshot: SnapshotSummary = record.read()?;
            let sql = "SELECT body FROM snapshots WHERE provider = ?1";
            let known = bodies::<SnapshotSummary>(db, sql, [&snapshot.provider])?.pop();
            db.prepare_cached("INSERT OR REPLACE INTO snapshots VALUES (?1, ?2)")?
                .execute(params![snapshot.provider, text(record)])?;
            let known = known.map(|known| known.own_keys).unwrap_or_default();
            let is_news = |one: &&String| known.contains(one) != snapshot.own_keys.contains(one);
            let all = known.iter().chain(&snapshot.own_keys);
            let news: Vec<&String> = all.filter(is_news).collect();
            touch_makers(db, touched, &snapshot.provider, &news)
        }
        // A newer version may publish more.
        _ => Ok(()),
    }
}

fn key(db: &Transaction<'_>, record: &Record, lens: Lens<'_>, touched: &mut Touched) -> Done {
    let key: Key = record.read()?;
    let row = put_key(db, &key, &text(record))?;
    for interval in &key.history {
        let shown = Shown {
            provider: &key.provider,
            account: &interval.creator,
            email: interval.creator.email.as_ref(),
            since: interval.valid_from,
            observed_at: interval.observed_at,
        };
        let (account, person) = maker(db, &shown, lens, touched)?;
        db.prepare_cached("INSERT OR IGNORE INTO key_holders (account, key) VALUES (?1, ?2)")?
            .execute([account, row])?;
        touched.insert(person);
    }
    touched.insert_key(&key);
    Ok(())
}

/// The row of a key, as it is now. Most are new when the read model is built, and looking for each
/// first took as long as putting it in.
fn put_key(db: &Transaction<'_>, key: &Key, body: &str) -> Result<i64, ProjectionError> {
    let put = db
        .prepare_cached(
            "INSERT INTO keys (provider, project, key, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (provider, project, key) DO NOTHING",
        )?
        .execute(params![key.provider, key.project, key.id, body])?;
    if put > 0 {
        return Ok(db.last_insert_rowid());
    }
    let row = db
        .prepare_cached("SELECT id FROM keys WHERE provider = ?1 AND project = ?2 AND key = ?3")?
        .query_row([&key.provider, &key.project, &key.id], |row| row.get(0))?;
    db.prepare_cached("UPDATE keys SET body = ?2 WHERE id = ?1")?
        .execute(params![row, body])?;
    Ok(row)
}

/// The row and the person of whoever made a key: keys of one person often follow each other.
fn maker(
    db: &Transaction<'_>,
    shown: &Shown<'_>,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Result<(i64, String), ProjectionError> {
    if let Some((last, found)) = &touched.maker
        && last.tells(shown)
    {
        return Ok(found.clone());
    }
    let found = account(db, shown, lens, touched)?;
    touched.maker = Some((shown.into(), found.clone()));
    Ok(found)
}

fn member(db: &Transaction<'_>, record: &Record, lens: Lens<'_>, touched: &mut Touched) -> Done {
    let member: Member = record.read()?;
    touched.maker = None;
    let person = member_account(db, &member, lens, touched)?;
    touched.insert(person);
    let leads = lens
        .policy
        .providers
        .get(&member.provider)
        .is_some_and(|facts| {
            let mut roles = member.history.iter().flat_map(|interval| &interval.roles);
            roles.any(|role| {
                lens.catalogue
                    .rank(&facts.kind, role)
                    .is_some_and(|rank| rank <= 1)
            })
        });
    db.prepare_cached("INSERT OR REPLACE INTO members VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            member.provider,
            member.project,
            member.account.id,
            leads,
            text(record)
        ])?;
    if !leads {
        return Ok(());
    }
    // Whoever may take keys over changes reports from the moment on at which they came or went.
    let since = member
        .history
        .last()
        .and_then(|last| last.last_seen.or(last.valid_from));
    let since = since.map_or(i64::MIN, jiff::Timestamp::as_microsecond);
    touch_project(
        db,
        touched.cause,
        (&member.provider, &member.project),
        since,
    )
}

/// Takes in what we put out ourselves: it is at hand, and makes no report stale.
pub(super) fn say(db: &Transaction<'_>, said: &Said) -> Done {
    for record in &said.due {
        match record.kind.as_str() {
            Passed::TYPE => drop(awaited::pass(db, record)?),
            _ => awaited::remind(db, record)?,
        }
    }
    let Some(report) = &said.report else {
        return Ok(());
    };
    let bodies = said.records.iter().map(text);
    let change = report.outcome.change_id.to_string();
    impacts::take(db, &change, report.impacts.iter().zip(bodies))?;
    match said.records.get(report.impacts.len()) {
        Some(record) => outcome(db, &report.outcome, &text(record)),
        None => Ok(()),
    }
}

fn outcome(db: &Transaction<'_>, outcome: &Outcome, body: &str) -> Done {
    db.prepare_cached(
        "INSERT INTO outcomes (change, revision, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (change) DO UPDATE SET revision = excluded.revision, body = excluded.body
         WHERE excluded.revision > revision",
    )?
    .execute(params![
        outcome.change_id.to_string(),
        outcome.revision,
        body
    ])?;
    Ok(())
}

fn quarantine(db: &Transaction<'_>, record: &Record) -> Done {
    db.prepare_cached("DELETE FROM rejects WHERE id = ?1")?
        .execute([&record.id])?;
    db.prepare_cached("INSERT OR REPLACE INTO quarantine (id, source, body) VALUES (?1, ?2, ?3)")?
        .execute(params![record.id, record.source, text(record)])?;
    Ok(())
}

fn delivery(db: &Transaction<'_>, record: &Record) -> Done {
    let delivery: DeliveryRecord = record.read()?;
    db.prepare_cached("INSERT OR REPLACE INTO deliveries VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            delivery.sink,
            delivery.event_id,
            delivery.status.label(),
            text(record)
        ])?;
    Ok(())
}

fn dead_letter(db: &Transaction<'_>, record: &Record) -> Done {
    // The wish to try one again changes nothing until the delivery says how that went.
    if record.kind == DeadLetter::TYPE {
        let letter: DeadLetter = record.read()?;
        db.prepare_cached("INSERT OR REPLACE INTO dead_letters VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                record.id,
                letter.sink,
                letter.original.id,
                text(record)
            ])?;
    }
    Ok(())
}
