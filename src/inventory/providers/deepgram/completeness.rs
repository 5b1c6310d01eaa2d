//! Whether a list holds everything. Deepgram never says: a key that may not see everybody's keys
//! gets 200 and its own account's only ("Otherwise, it will only list keys that belong to the
//! authenticated account", API reference of List Keys).

use std::collections::BTreeSet;

use super::{
    Sight,
    project::Reading,
    wire::{Listed, Member, Own},
};

/// The roles whose keys see everything.
const SEEING: [&str; 2] = ["owner", "admin"];
/// The scopes that amount to the same.
const SEEING_SCOPES: [&str; 3] = ["members:read", "admins:read", "owners:read"];

/// Why keys may be missing from `keys`, seen by the key `own`.
pub(super) fn gap(own: Option<&Own>, members: &[Member], keys: &[Listed]) -> Option<String> {
    let Some(own) = own else {
        // Whoever sees keys of two accounts sees all.
        let accounts: BTreeSet<_> = keys.iter().map(|key| &key.member.member_id).collect();
        return (accounts.len() < 2).then(|| {
            "our key does not say which scopes it has, and lists keys of one account only"
                .to_owned()
        });
    };
    if !sees_all(&own.scopes) {
        return Some(format!(
            "our key has the scopes [{}]: without a role or {} it lists keys of its own account only",
            own.scopes.join(", "),
            SEEING_SCOPES.join(", "),
        ));
    }
    let mut listed = keys.iter();
    let our_own = listed.find(|key| key.api_key.api_key_id == own.api_key_id)?;
    let creator = &our_own.member.member_id;
    let Some(member) = members.iter().find(|member| &member.member_id == creator) else {
        return Some("the maker of our key is not among the members listed".to_owned());
    };
    let roles = member.scopes.as_deref().unwrap_or_default();
    (!sees_all(roles)).then(|| {
        format!(
            "our key's maker is {} here: a key may do no more than its maker",
            roles.join(", ")
        )
    })
}

fn sees_all(scopes: &[String]) -> bool {
    let has = |wanted: &&str| scopes.iter().any(|scope| scope == wanted);
    SEEING.iter().any(has) || SEEING_SCOPES.iter().all(has)
}

/// A key of ours that read projects and stands in none of their lists: some list was short.
pub(super) fn unseen_own_keys(sights: &[Sight<'_>], readings: &[Reading]) -> Vec<String> {
    let unseen = sights.iter().enumerate().filter(|(by, sight)| {
        let mut read = readings
            .iter()
            .filter(|reading| reading.by == *by)
            .peekable();
        let own = sight.own.as_ref();
        own.is_some_and(|own| {
            read.peek().is_some()
                && !read.any(|one| one.project.keys.iter().any(|key| key.id == own.api_key_id))
        })
    });
    unseen
        .map(|(_, sight)| format!("key {} of ours is in no list of keys", sight.number))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{
        super::wire::{Listed, Member, Own},
        gap,
    };

    fn own(scopes: &[&str]) -> Own {
        serde_json::from_value(json!({ "api_key_id": "k0", "scopes": scopes })).unwrap()
    }

    fn member(id: &str, role: &str) -> Member {
        serde_json::from_value(json!({ "member_id": id, "scopes": [role] })).unwrap()
    }

    fn key(id: &str, creator: &str) -> Listed {
        let text = json!({ "member": { "member_id": creator }, "api_key": { "api_key_id": id } });
        serde_json::from_value(text).unwrap()
    }

    #[rstest]
    #[case(&["owner"], None)]
    #[case(&["usage:read", "admin"], None)]
    #[case(&["members:read", "admins:read", "owners:read", "keys:read"], None)]
    #[case(&["members:read", "admins:read", "keys:read"], Some("members:read"))]
    #[case(&["member"], Some("[member]"))]
    #[case(&[], Some("[]"))]
    fn a_list_is_whole_when_our_scopes_see_everybody(
        #[case] scopes: &[&str],
        #[case] why: Option<&str>,
    ) {
        let members = [member("m0", "owner")];
        let said = gap(Some(&own(scopes)), &members, &[key("k0", "m0")]);
        assert_eq!(said.is_some(), why.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(why.unwrap_or_default()));
    }

    #[rstest]
    #[case::demoted("member", Some("our key's maker is member"))]
    #[case::still_admin("admin", None)]
    fn a_key_whose_maker_was_demoted_sees_less_than_its_scopes_say(
        #[case] role: &str,
        #[case] why: Option<&str>,
    ) {
        let said = gap(
            Some(&own(&["owner"])),
            &[member("m0", role)],
            &[key("k0", "m0")],
        );
        assert_eq!(said.is_some(), why.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(why.unwrap_or_default()));
    }

    #[test]
    fn members_without_the_maker_of_our_key_are_not_all() {
        let said = gap(
            Some(&own(&["owner"])),
            &[member("m1", "owner")],
            &[key("k0", "m0")],
        );
        assert!(said.unwrap().contains("not among the members"));
    }

    #[test]
    fn a_silent_key_is_believed_when_it_lists_keys_of_others() {
        let mine = key("k0", "m0");
        assert!(gap(None, &[], std::slice::from_ref(&mine)).is_some());
        assert_eq!(gap(None, &[], &[mine, key("k1", "m1")]), None);
    }
}
