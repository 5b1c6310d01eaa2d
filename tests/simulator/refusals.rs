//! How it says no, and faults.

use offkey::simulator::Faults;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{OWNERS_KEY, World, refusal};

#[rstest]
#[case("/v1/projects", "no key", 403, r#""category":"UNAUTHORIZED""#)]
#[case("/v1/auth/token", "no key", 401, r#""err_code":"INVALID_AUTH""#)]
#[case(
    "/v1/projects/p1/keys",
    OWNERS_KEY,
    404,
    "UUID parsing failed: invalid character"
)]
#[case(
    "/v1/projects/00000000-0000-4000-8000-000000000000/keys",
    OWNERS_KEY,
    404,
    r#""category":"NOT_FOUND""#
)]
#[actix_web::test]
async fn refusals_have_the_bodies_that_deepgram_documents(
    #[case] path: &str,
    #[case] key: &str,
    #[case] status: u16,
    #[case] said: &str,
) {
    let world = World::new();
    let (got, body) = world.send(Method::GET, path, key, json!({})).await;
    assert_eq!(got, status);
    assert!(body.contains(said), "{body}");
}

#[actix_web::test]
async fn faults_are_switched_over_http_and_by_hand() {
    let world = World::new();
    let put = |faults: Value| world.send(Method::PUT, "/__simulator/faults", "", faults);
    assert_eq!(put(json!({"status": 429, "next": 1})).await.0, 200);
    assert_eq!(refusal(world.owner.projects().list().await).0, 429);
    assert!(world.owner.projects().list().await.is_ok());
    assert_eq!(put(json!({"status": 418})).await.0, 400);
    assert_eq!(put(json!({"statsu": 500})).await.0, 400);
    let faults = Faults {
        drop_members: 2,
        ..Faults::default()
    };
    world.simulator.faults().set(faults).unwrap();
    let project = world.project("production").await;
    let members = world.owner.members().list_members(&project).await.unwrap();
    assert_eq!(members.members.len(), 4);
    world.simulator.faults().clear();
    let (_, state) = world
        .send(Method::GET, "/__simulator/state", "", json!({}))
        .await;
    assert!(state.contains("Murmuration Voice"), "{state}");
}
