//! A choice between apps.
//!
//! Answers: who could do it, and who did?
//! Never: shows anything that an app wrote about itself; what stands here is names and vetted lines.

use bus::message::user::{AppChoice, AppOffer, Chosen, Effect};

use super::clean;
use super::paint::Paint;
use super::prompt::{INDENT, arguments, field};
use super::wrap::wrap;

/// What is asked, without the question, in lines of at most `width` characters.
#[must_use]
pub fn choice(choice: &AppChoice, paint: Paint, width: usize) -> String {
    let room = width.saturating_sub(INDENT);
    let mut text =
        format!("{} {}\n", paint.bold("Several apps can do this:"), clean::line(&what(choice), 200));
    let lines = arguments(&choice.args).into_iter().flat_map(|line| wrap(&line, room.saturating_sub(2), 2));
    field(&mut text, "with", lines.map(|line| format!("│ {line}")));
    for (place, offer) in choice.offers.iter().enumerate() {
        let number = place.saturating_add(1);
        let summary = wrap(&summary(offer), room, 0);
        let name = paint.name(&clean::line(offer.app.as_str(), 60));
        text.push_str(&format!("  {}  {name}\n", paint.bold(&format!("[{number}]"))));
        summary.iter().for_each(|line| text.push_str(&format!("       {}\n", paint.dim(line))));
    }
    text
}

/// The question: what may be answered.
#[must_use]
pub fn choose(choice: &AppChoice) -> String {
    format!("which one? [1-{}]  [d] none of them ({} s) ", choice.offers.len(), choice.limit_ms / 1000)
}

/// Who did it where several could; nothing, if the user has just said so.
#[must_use]
pub fn chosen(chosen: &Chosen) -> Option<String> {
    let app = chosen.app.as_ref()?;
    let names: Vec<&str> = chosen.functionalities.iter().map(|name| name.as_str()).collect();
    let names = names.join(", ");
    let others: Vec<&str> =
        chosen.offered.iter().filter(|other| *other != app).map(|app| app.as_str()).collect();
    let others = others.join(", ");
    Some(match chosen.by.as_str() {
        "user" => return None,
        "session" => format!("{names}: by {app}, as you chose in this conversation"),
        "default" => {
            format!("{names}: by {app}, your default; `secgpt apps default clear NAME` has you asked again")
        }
        "unattended" => format!(
            "{names}: by {app}, as planned; {others} could have done it, too, and nobody was there to choose. Name the app \
             in the query, or set one: `secgpt apps default set APP.NAME`"
        ),
        _ => format!(
            "{names}: by {app}, as planned; {others} could have done it, too, and nobody chose in time"
        ),
    })
}

fn what(choice: &AppChoice) -> String {
    let Some(planned) = choice.offers.first() else { return String::new() };
    let word = |effect| match effect {
        Effect::Read => "reads",
        Effect::Write => "changes something",
        Effect::Irreversible => "CANNOT BE UNDONE",
    };
    let named =
        planned.functionalities.iter().map(|offered| format!("{} ({})", offered.name, word(offered.effect)));
    named.collect::<Vec<String>>().join(", ")
}

fn summary(offer: &AppOffer) -> String {
    let said = offer.functionalities.iter().filter_map(|offered| offered.summary.as_deref());
    clean::line(&said.collect::<Vec<&str>>().join("; "), 300)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_choice_shows_who_offers_what_and_with_which_arguments() {
        let offer = |app: &str| {
            json!({"app": app, "functionalities": [
                {"name": "estimate_fare", "effect": "read", "summary": "Fare estimate for a ride\u{1b}[2J"}]})
        };
        let asked: AppChoice = serde_json::from_value(json!({
            "id": "c1", "args": {"start_point": "Main Street", "end_point": "Elm\nAvenue"},
            "offers": [offer("metro_hail"), offer("quick_ride")], "limit_ms": 120_000
        }))
        .unwrap();
        assert_snapshot!(format!("{}{}", choice(&asked, Paint::none(), 80), choose(&asked)), @r"
        Several apps can do this: estimate_fare (reads)
          with       │ start_point = Main Street
                     │ end_point = Elm
                     │   Avenue
          [1]  metro_hail
               Fare estimate for a ride[2J
          [2]  quick_ride
               Fare estimate for a ride[2J
        which one? [1-2]  [d] none of them (120 s)
        ");
    }

    #[test]
    fn who_did_it_is_said_unless_the_user_has_just_chosen() {
        let by = |by: &str| {
            let value = json!({"functionalities": ["estimate_fare"], "offered": ["metro_hail", "quick_ride"],
                "app": "metro_hail", "by": by, "kept": false});
            chosen(&serde_json::from_value(value).unwrap())
        };
        assert_eq!(by("user"), None);
        assert!(by("default").unwrap().contains("apps default clear"));
        assert!(by("unattended").unwrap().contains("quick_ride could have done it, too"));
    }
}
