//! Coming, going, changing roles, and what that does to keys.

use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::world::{OWNERS_KEY, World, client, refusal};

#[actix_web::test]
async fn removing_a_member_deletes_the_keys_they_made_there_and_no_others() {
    let world = World::new();
    let hers = world.key("production", "live call transcription").await;
    let staging = world.key("staging", "staging transcription").await;
    let bos = world.key("production", "status page probe").await;
    let secrets = [
        world.secret(&hers.key).await,
        world.secret(&staging.key).await,
        world.secret(&bos.key).await,
    ];
    let removed = world.owner.members();
    let removed = removed.remove_member(&hers.project, &hers.member).await;
    assert_eq!(
        removed.unwrap().message,
        "Successfully removed account from project."
    );
    let mut statuses = Vec::new();
    for secret in &secrets {
        statuses.push(world.listen(secret).await.0);
    }
    assert_eq!(statuses, [401, 200, 200]);
    let left = world
        .owner
        .keys()
        .list(&hers.project)
        .await
        .unwrap()
        .api_keys;
    assert!(left.iter().all(|key| key.member.email != "ada@example.com"));
}

#[actix_web::test]
async fn leaving_deletes_the_keys_of_whoever_leaves() {
    let world = World::new();
    let found = world.key("staging", "dana's laptop").await;
    let secret = world.secret(&found.key).await;
    let dana = client(&world.simulator, &secret);
    dana.invitations()
        .leave_project(&found.project)
        .await
        .unwrap();
    assert_eq!(world.listen(&secret).await.0, 401);
    let members = world.owner.members().list_members(&found.project).await;
    let members = members.unwrap().members;
    assert!(
        members
            .iter()
            .all(|member| member.email != "dana@example.com")
    );
}

#[actix_web::test]
async fn a_sole_owner_can_neither_be_removed_nor_leave_nor_be_demoted() {
    let world = World::new();
    let found = world.key("research", "accent study").await;
    let secret = world.secret(&found.key).await;
    let ruth = client(&world.simulator, &secret);
    let left = ruth.invitations().leave_project(&found.project).await;
    let (status, body) = refusal(left);
    assert!(
        status == 400 && body.contains("at least one owner"),
        "{body}"
    );
    // Nadia, whose key we have, is only an admin there, and may not remove owners at all.
    let removed = world.owner.members();
    let removed = removed.remove_member(&found.project, &found.member).await;
    assert_eq!(refusal(removed).0, 403);
    // In staging two are owners: the first may be demoted, and the second not any more.
    let staging = world.project("staging").await;
    let (ada, nadia) = ("ada@example.com", "nadia@example.com");
    let (ada, nadia) = (
        world.member(&staging, ada).await,
        world.member(&staging, nadia).await,
    );
    let scopes = world.owner.scopes();
    scopes.update_scope(&staging, &ada, "member").await.unwrap();
    let last = scopes.update_scope(&staging, &nadia, "member").await;
    assert_eq!(refusal(last).0, 400);
    let removed = world.owner.members();
    let removed = removed.remove_member(&staging, &nadia).await;
    assert_eq!(refusal(removed).0, 400);
}

#[actix_web::test]
async fn a_demoted_makers_key_loses_what_the_maker_lost() {
    let world = World::new();
    let found = world.key("staging", "staging admin scripts").await;
    let secret = world.secret(&found.key).await;
    let bo = client(&world.simulator, &secret);
    assert_eq!(
        bo.keys().list(&found.project).await.unwrap().api_keys.len(),
        6
    );
    let scopes = world.owner.scopes();
    let demoted = scopes.update_scope(&found.project, &found.member, "member");
    demoted.await.unwrap();
    assert_eq!(
        bo.keys().list(&found.project).await.unwrap().api_keys.len(),
        1
    );
    let members = bo.members().list_members(&found.project).await;
    assert_eq!(refusal(members).0, 403);
    assert_eq!(world.listen(&secret).await.0, 200, "it still works");
}

#[rstest]
#[case("dana's laptop", "leo@example.com", 403)]
#[case("staging admin scripts", "leo@example.com", 200)]
#[case("staging admin scripts", "ada@example.com", 403)]
#[actix_web::test]
async fn whom_a_key_may_remove_depends_on_both_roles(
    #[case] comment: &str,
    #[case] target: &str,
    #[case] expected: u16,
) {
    let world = World::new();
    let found = world.key("staging", comment).await;
    let secret = world.secret(&found.key).await;
    let target = world.member(&found.project, target).await;
    let path = format!("/v1/projects/{}/members/{target}", found.project);
    let (status, body) = world.send(Method::DELETE, &path, &secret, json!({})).await;
    assert_eq!(status, expected, "{body}");
}

#[actix_web::test]
async fn an_invited_person_comes_in_when_they_accept() {
    let world = World::new();
    let project = world.project("production").await;
    let path = format!("/v1/projects/{project}/invites");
    let new = json!({"email": "New@example.com", "scope": "admin"});
    let made = world.send(Method::POST, &path, OWNERS_KEY, new).await;
    assert_eq!(made.0, 200);
    let listed = world.send(Method::GET, &path, OWNERS_KEY, json!({})).await;
    assert_eq!(
        listed.1,
        r#"{"invites":[{"email":"new@example.com","scope":"admin"}]}"#
    );
    let accept = json!({"project_id": project, "email": "new@example.com"});
    let accepted = world.send(Method::POST, "/__simulator/accept", "", accept.clone());
    assert_eq!(accepted.await.0, 200);
    world.member(&project, "new@example.com").await;
    let again = world.send(Method::POST, "/__simulator/accept", "", accept);
    assert_eq!(again.await.0, 404);
    let wrong = json!({"email": "x@example.com", "scope": "king"});
    let (status, body) = world.send(Method::POST, &path, OWNERS_KEY, wrong).await;
    let expected = "Invalid request: scope must be either 'member', 'admin' or 'owner'.";
    assert_eq!((status, body.as_str()), (400, expected));
    let (staging, open) = (world.project("staging").await, "priya@example.com");
    let path = format!("/v1/projects/{staging}/invites/{open}");
    for expected in [200, 404] {
        let deleted = world.send(Method::DELETE, &path, OWNERS_KEY, json!({}));
        assert_eq!(deleted.await.0, expected);
    }
}
