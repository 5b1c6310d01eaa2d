//! Whether a change came as it was previewed.

use std::collections::BTreeMap;

use super::{ownership::PersonHistory, policy::Policy};
use crate::domain::{
    ChangeKind, Impact, MembershipChange,
    preview::{Aspect, Difference, Preview, Previewed, PreviewedKey},
};

/// A provider, a project and a key.
type Place<'a> = (&'a str, &'a str, &'a str);
/// A key as it was previewed and as it came.
type Pair<'a> = (Option<&'a PreviewedKey>, Option<&'a PreviewedKey>);

/// How `impacts` compare with the latest preview that was made before `change` was published;
/// nothing when nobody recorded one of such a change.
///
/// Both times are content, so the answer does not depend on what became known first.
pub(super) fn previewed(
    change: &MembershipChange,
    (history, policy): (&PersonHistory, &Policy),
    impacts: &[Impact],
) -> Option<Previewed> {
    let preview = history
        .previews
        .iter()
        .filter(|preview| foresees(preview, change))
        .max_by_key(|preview| (preview.made_at, &preview.digest))?;
    let differs = differences(preview, (change, policy), impacts);
    Some(Previewed {
        digest: preview.digest.clone(),
        at: preview.made_at,
        same: differs.is_empty(),
        differs,
    })
}

/// Whether `preview` is one of such a change, made before it.
///
/// Who leaves is announced or removed: either is foreseen by the preview of a removal.
fn foresees(preview: &Preview, change: &MembershipChange) -> bool {
    let is_such = preview.change == change.change
        || (preview.change == ChangeKind::Removed && change.change == ChangeKind::LeaveScheduled);
    is_such && preview.made_at <= change.published_at && preview.scope.includes(&change.scope)
}

/// What came otherwise than in `preview`, within the scope of `change`.
fn differences(
    preview: &Preview,
    (change, policy): (&MembershipChange, &Policy),
    impacts: &[Impact],
) -> Vec<Difference> {
    let found: Vec<PreviewedKey> = impacts.iter().map(PreviewedKey::of).collect();
    let is_within = |key: &&PreviewedKey| policy.covers(change, &key.provider, &key.project);
    let mut both: BTreeMap<Place<'_>, Pair<'_>> = BTreeMap::new();
    for key in preview.keys.iter().filter(is_within) {
        both.entry(place(key)).or_default().0 = Some(key);
    }
    for key in &found {
        both.entry(place(key)).or_default().1 = Some(key);
    }
    both.into_iter()
        .flat_map(|(place, pair)| of_key(place, pair))
        .collect()
}

fn place(key: &PreviewedKey) -> Place<'_> {
    (&key.provider, &key.project, &key.id)
}

fn of_key((provider, project, key): Place<'_>, pair: Pair<'_>) -> Vec<Difference> {
    let differs = |what, before, now| Difference {
        provider: provider.to_owned(),
        project: project.to_owned(),
        key: key.to_owned(),
        what,
        before,
        now,
    };
    let fate = |key: &PreviewedKey| key.fate.to_string();
    let (before, now) = match pair {
        (Some(before), Some(now)) => (before.aspects(), now.aspects()),
        (before, now) => return vec![differs(Aspect::Fate, before.map(fate), now.map(fate))],
    };
    let both = before.into_iter().zip(now);
    both.filter(|((_, before), (_, now))| before != now)
        .map(|((what, before), (_, now))| differs(what, before, now))
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use rstest::rstest;

    use super::previewed;
    use crate::{
        correlation::{PersonHistory, Policy},
        domain::{
            ChangeKind, Fate, Impact, MembershipChange, OutcomeResult, Scope, Severity,
            impact::Successor,
            preview::{Aspect, Preview, Previewed, PreviewedKey},
        },
    };

    fn impact() -> Impact {
        let text = include_str!("../../schemas/examples/offkey.impact.v1.1.json");
        serde_json::from_str(text).unwrap()
    }

    fn change() -> MembershipChange {
        let text = include_str!("../../schemas/examples/offkey.membership-change.v1.1.json");
        let change: MembershipChange = serde_json::from_str(text).unwrap();
        MembershipChange {
            change: ChangeKind::Removed,
            scope: Scope::Organisation {},
            ..change
        }
    }

    /// Made so many seconds after the change was published, of that impact.
    fn preview(after: i64, digest: &str) -> Preview {
        let made_at: Timestamp = change().published_at + SignedDuration::from_secs(after);
        Preview {
            person: "kim@example.com".parse().unwrap(),
            change: ChangeKind::Removed,
            scope: Scope::Organisation {},
            effective_at: made_at,
            made_at,
            result: OutcomeResult::Report,
            digest: digest.to_owned(),
            keys: vec![PreviewedKey::of(&impact())],
        }
    }

    fn compare(change: &MembershipChange, previews: &[Preview]) -> Option<Previewed> {
        let history = PersonHistory {
            previews: previews.to_vec(),
            ..PersonHistory::default()
        };
        previewed(change, (&history, &Policy::default()), &[impact()])
    }

    #[test]
    fn the_latest_preview_before_the_change_counts_in_whatever_order_they_become_known() {
        let mut all = [preview(-20, "a"), preview(-10, "b"), preview(10, "c")];
        for _ in 0..all.len() {
            all.rotate_left(1);
            let found = compare(&change(), &all).unwrap();
            assert_eq!((found.digest.as_str(), found.same), ("b", true));
        }
        assert_eq!(compare(&change(), &[preview(1, "c")]), None);
        assert_eq!(compare(&change(), &[]), None);
    }

    #[rstest]
    #[case(ChangeKind::Removed, ChangeKind::LeaveScheduled, true)]
    #[case(ChangeKind::LeaveScheduled, ChangeKind::Removed, false)]
    #[case(ChangeKind::Suspended, ChangeKind::Removed, false)]
    #[case(ChangeKind::Suspended, ChangeKind::Suspended, true)]
    #[case(ChangeKind::Removed, ChangeKind::Suspended, false)]
    #[case(ChangeKind::Suspended, ChangeKind::LeaveScheduled, false)]
    fn another_kind_of_change_was_not_foreseen(
        #[case] foreseen: ChangeKind,
        #[case] came: ChangeKind,
        #[case] expected: bool,
    ) {
        let preview = Preview {
            change: foreseen,
            ..preview(-1, "a")
        };
        let change = MembershipChange {
            change: came,
            ..change()
        };
        assert_eq!(compare(&change, &[preview]).is_some(), expected);
    }

    #[test]
    fn a_narrower_change_is_compared_within_its_scope_and_a_wider_one_was_not_foreseen() {
        let (key, elsewhere) = (impact().key, preview(-1, "a"));
        let scope = Scope::Provider {
            provider: key.provider,
        };
        let mut wide = elsewhere.clone();
        wide.keys.push(PreviewedKey {
            provider: "another".to_owned(),
            ..elsewhere.keys[0].clone()
        });
        let narrow = MembershipChange {
            scope: scope.clone(),
            ..change()
        };
        assert!(compare(&narrow, std::slice::from_ref(&wide)).unwrap().same);
        assert_eq!(compare(&change(), &[wide]).unwrap().differs.len(), 1);
        let narrow = Preview { scope, ..elsewhere };
        assert_eq!(compare(&change(), &[narrow]), None);
    }

    #[test]
    fn everything_that_came_otherwise_is_told() {
        let mut foreseen = preview(-1, "a");
        let key = foreseen.keys[0].clone();
        let found = |preview: &Preview| {
            let differs = compare(&change(), std::slice::from_ref(preview))
                .unwrap()
                .differs;
            let told = differs.iter().map(|one| one.what);
            told.collect::<Vec<_>>()
        };
        foreseen.keys[0] = PreviewedKey {
            fate: Fate::Blocks,
            lost_scopes: vec!["a scope".to_owned()],
            severity: Severity::Info,
            successor: match &*impact().successor {
                Successor::Found(_) => None,
                Successor::None { .. } => Some("lee@example.com".parse().unwrap()),
            },
            ..key.clone()
        };
        let all = [
            Aspect::Fate,
            Aspect::LostScopes,
            Aspect::Severity,
            Aspect::Successor,
        ];
        assert_eq!(found(&foreseen), all);
        foreseen.keys[0] = PreviewedKey {
            id: "another".to_owned(),
            ..key
        };
        assert_eq!(found(&foreseen), [Aspect::Fate, Aspect::Fate]);
    }
}
