//! What `retrieval.rs` promises, each promise a test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::PathBuf;

use bus::id::FunctionName;
use bus::message::user::Effect;
use manifest::{AppKind, Manifest, Network, Schema};
use serde_json::json;

use super::*;

fn app(name: &str, functions: &[(&str, &str)]) -> Manifest {
    let request = Schema::parse(json!({"type": "object"})).unwrap();
    let function = |(name, summary): &(&str, &str)| FunctionSpec {
        name: FunctionName::parse(name).unwrap(),
        effect: Effect::Read,
        summary: (!summary.is_empty()).then(|| (*summary).to_owned()),
        description: Some("book a ride taxi fare weather recipe calendar".into()),
        request: request.clone(),
        response: None,
        destinations: Vec::new(),
        pinned: None,
        method: bus::message::profile::Method::Tool,
    };
    Manifest {
        app: AppId::parse(name).unwrap(),
        kind: AppKind::Prompt,
        description: "fare ride taxi book everything".into(),
        model: None,
        network: Network::default(),
        read: Vec::<PathBuf>::new(),
        credentials: BTreeMap::new(),
        limits: manifest::limits::DEFAULT,
        wishes: bus::message::profile::Wishes::default(),
        functions: functions.iter().map(function).collect(),
        dir: PathBuf::new(),
        hash: String::new(),
    }
}

/// 60 apps of one functionality each that have nothing to do with the queries below.
fn crowd() -> Vec<Manifest> {
    (0..60).map(|n| app(&format!("tool{n}"), &[("sharpen_pencil", "Sharpen pencils")])).collect()
}

fn names(found: &[Functionality]) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}

/// REFERENCE 4.14: with nine apps installed, only four were offered and the right one was missed.
#[test]
fn with_nine_apps_none_is_missed() {
    let catalogue = Catalogue::new(
        ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
            .iter()
            .map(|name| app(name, &[("one", ""), ("two", "")]))
            .collect(),
    );
    let found = candidates(&catalogue, "nothing of the kind", 4);
    assert_eq!(found.len(), 18);
}

#[test]
fn of_many_the_right_one_is_found_by_name_summary_and_spelling() {
    let mut apps = crowd();
    apps.push(app("metro_hail", &[("estimateFare", "Fare estimate for a ride between two points")]));
    apps.push(app("weather", &[("forecast", "Weather for a place and a day")]));
    let catalogue = Catalogue::new(apps);
    for (query, expected) in [
        ("What do rides cost from Main Street to Elm Avenue?", "metro_hail.estimateFare"),
        ("estimate the fare", "metro_hail.estimateFare"),
        ("use Metro-Hail please", "metro_hail.estimateFare"),
        ("the weather in Paris", "weather.forecast"),
    ] {
        let found = candidates(&catalogue, query, 10);
        assert_eq!((found.len(), found[0].to_string()), (10, expected.to_owned()), "{query}");
    }
}

/// Planner manipulation: what an app says of itself does not move it up, and copied words win only a share.
#[test]
fn an_app_stuffed_with_copied_words_cannot_crowd_out_others() {
    let mut apps = crowd();
    apps.push(app("metro_hail", &[("estimate_fare", "Fare estimate for a ride between two points")]));
    let stuffed: Vec<(String, &str)> = (0..40)
        .map(|n| (format!("fare_ride_cost_estimate_{n}"), "fare ride cost estimate fare fare fare"))
        .collect();
    let stuffed: Vec<(&str, &str)> =
        stuffed.iter().map(|(name, summary)| (name.as_str(), *summary)).collect();
    apps.push(app("greedy", &stuffed));
    let found = candidates(&Catalogue::new(apps), "fare of a ride", 12);
    let greedy = found.iter().filter(|functionality| functionality.app.as_str() == "greedy").count();
    assert_eq!(greedy, 3, "{:?}", names(&found));
    assert!(names(&found).contains(&"metro_hail.estimate_fare".to_owned()));
}

/// Four apps of one hand, each called as the user speaks and full of the words of another, take their places and no more.
#[test]
fn apps_that_share_out_the_words_of_another_cannot_crowd_it_out() {
    let mut apps = crowd();
    apps.push(app("metro_hail", &[("estimate_fare", "Fare estimate for a ride between two points")]));
    let stuffed: Vec<(String, &str)> =
        (0..20).map(|n| (format!("fare_ride_{n}"), "fare of a ride from here to there")).collect();
    let stuffed: Vec<(&str, &str)> =
        stuffed.iter().map(|(name, summary)| (name.as_str(), *summary)).collect();
    apps.extend(["fare", "ride", "here", "there"].map(|name| app(name, &stuffed)));
    let found = names(&candidates(&Catalogue::new(apps), "the fare of a ride from here to there", 12));
    assert!(found.contains(&"metro_hail.estimate_fare".to_owned()), "{found:?}");
    assert_eq!(found.len(), 12);
}

/// An app that says a word in each of a thousand functionalities does not make it one that says nothing.
#[test]
fn words_said_a_thousand_times_do_not_become_common_ones() {
    let unrelated: Vec<Manifest> =
        (0..60).map(|n| app(&format!("desk{n}"), &[("open_window", "Opens a window of the town")])).collect();
    let with = |copies: usize| {
        let mut apps = unrelated.clone();
        apps.push(app("metro_hail", &[("estimate_fare", "Fare estimate for a ride between two points")]));
        let copied = "Fare estimate for a ride between two points ".repeat(copies.clamp(1, 50));
        let echo: Vec<(String, &str)> = (0..copies).map(|n| (format!("e{n}"), copied.as_str())).collect();
        let echo: Vec<(&str, &str)> = echo.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        apps.push(app("echo", &echo));
        names(&candidates(&Catalogue::new(apps), "the fare of a ride to the town, by the window", 12))
    };
    for copies in [0, 1, 1_000] {
        let found = with(copies);
        assert!(found.contains(&"metro_hail.estimate_fare".to_owned()), "{copies}: {found:?}");
        let echoes = found.iter().filter(|name| name.starts_with("echo.")).count();
        assert!(echoes <= 3, "{copies}: {found:?}");
    }
}

/// A name of words that everybody says names nobody.
#[test]
fn an_app_called_like_a_common_word_is_not_named_by_every_query() {
    let mut apps = crowd();
    apps.push(app("metro_hail", &[("estimate_fare", "Fare estimate for a ride between two points")]));
    apps.push(app("the", &[("one", "Anything"), ("two", "Anything")]));
    let found = names(&candidates(&Catalogue::new(apps), "the fare of the ride", 12));
    assert_eq!(found[0], "metro_hail.estimate_fare", "{found:?}");
}

#[test]
fn no_description_counts() {
    let mut apps = crowd();
    apps.push(app("talker", &[("x", "")]));
    let documents = documents(&Catalogue::new(apps));
    assert!(
        documents.iter().all(|(_, text)| !text.contains("recipe") && !text.contains("everything")),
        "{documents:?}"
    );
}

#[test]
fn vectors_pick_the_nearest() {
    let documents: Vec<(Functionality, Vec<f32>)> = (0..60_u8)
        .map(|n| (Functionality::parse(&format!("tool{n}.x")).unwrap(), vec![1.0, f32::from(n)]))
        .collect();
    let found = by_vectors(&documents, &[1.0, 0.0], "", 3);
    assert_eq!(names(&found), ["tool0.x", "tool1.x", "tool2.x"]);
    assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), 1.0);
    assert_eq!(cosine(&[1.0], &[1.0, 2.0]), 0.0);
    assert_eq!(cosine(&[0.0], &[0.0]), 0.0);
}

#[test]
fn words_are_parted_where_names_are() {
    assert_eq!(
        words("getThread create_draft book-flights"),
        ["get", "thread", "create", "draft", "book", "flight"]
    );
}
