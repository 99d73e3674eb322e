//! How prompts are answered when nobody types, or when somebody does.
//!
//! Answers: what does this kind of user say to this prompt?
//! Never: allows what a prompt does not offer.

use bus::id::AppId;
use bus::message::user::{AppChoice, Choice, Prompt, Width};

/// The kind of user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Consent {
    /// Ask at the terminal.
    Ask,
    /// Nobody is there: whatever would ask is refused.
    Deny,
    /// Allow once what carries no warning, refuse what does: a user who heeds warnings.
    Expected,
    /// Allow everything once: a careless user.
    Once,
}

/// What to do about a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Say this.
    Say(Choice),
    /// Ask the person.
    AskPerson,
}

impl Consent {
    /// The usual: ask on a terminal, deny elsewhere.
    #[must_use]
    pub fn or_usual(given: Option<Self>, terminal: bool) -> Self {
        given.unwrap_or(if terminal { Consent::Ask } else { Consent::Deny })
    }

    /// Will prompts be answered at all?
    #[must_use]
    pub fn attends(self) -> bool {
        self != Consent::Deny
    }

    /// What this kind of user says.
    #[must_use]
    pub fn answer(self, prompt: &Prompt) -> Answer {
        let once = if prompt.offers.contains(&Choice::Once) { Choice::Once } else { Choice::Deny };
        match self {
            Consent::Ask => Answer::AskPerson,
            Consent::Deny => Answer::Say(Choice::Deny),
            Consent::Expected if prompt.warning.is_some() || !prompt.flow.expected => {
                Answer::Say(Choice::Deny)
            }
            Consent::Expected | Consent::Once => Answer::Say(once),
        }
    }
}

/// What a person says to a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The choice.
    pub choice: Choice,
    /// Of several flows those that it is meant for, from 0; all, if absent.
    pub only: Option<Vec<u32>>,
    /// How far a yes for longer reaches.
    pub width: Option<Width>,
    /// For how many days an "always" holds; until it is taken back, if absent.
    pub days: Option<u32>,
}

/// Days of an "always" that is given with one key.
pub const MONTH: u32 = 30;

/// The longest end that can be given, days. Whoever means longer means for good.
pub const MOST_DAYS: u32 = 3_650;

impl From<Choice> for Reply {
    fn from(choice: Choice) -> Self {
        Self { choice, only: None, width: None, days: None }
    }
}

/// A typed answer: a choice, and after it the numbers of the flows that it is meant for, the number of a width with a
/// colon, or days: `once`, `o 1,3`, `always :2`, `always 7d`, `month`. `None` if it is not clear what is meant.
#[must_use]
pub fn spoken(line: &str, prompt: &Prompt) -> Option<Reply> {
    let mut words = line.split_whitespace();
    let mut reply = answered(words.next()?, &prompt.offers)?;
    for word in words {
        if let Some(number) = word.strip_suffix('d') {
            let days = number.parse().ok().filter(|days| (1..=MOST_DAYS).contains(days))?;
            reply.days = (reply.choice == Choice::Always).then_some(days);
            reply.days?;
            continue;
        }
        if let Some(number) = word.strip_prefix(':') {
            let place = number.parse::<usize>().ok()?.checked_sub(1)?;
            reply.width = Some(prompt.widths.get(place)?.clone());
            continue;
        }
        for number in word.split(',').filter(|number| !number.is_empty()) {
            let place = number.parse::<u32>().ok()?.checked_sub(1)?;
            if prompt.others.len() < usize::try_from(place).ok()? {
                return None;
            }
            reply.only.get_or_insert_default().push(place);
        }
    }
    Some(reply)
}

/// The answer of a typed letter or word, if it is offered: a choice, or an "always" that ends by itself.
#[must_use]
pub fn answered(word: &str, offers: &[Choice]) -> Option<Reply> {
    match word.trim().to_ascii_lowercase().as_str() {
        "m" | "month" => typed("always", offers).map(|choice| Reply { days: Some(MONTH), ..choice.into() }),
        word => typed(word, offers).map(Reply::from),
    }
}

/// The choice of a typed letter or word, if it is offered.
#[must_use]
pub fn typed(word: &str, offers: &[Choice]) -> Option<Choice> {
    let choice = match word.trim().to_ascii_lowercase().as_str() {
        "o" | "once" => Choice::Once,
        "s" | "session" => Choice::Session,
        "a" | "always" => Choice::Always,
        "d" | "deny" | "n" | "no" => Choice::Deny,
        _ => return None,
    };
    offers.contains(&choice).then_some(choice)
}

/// What is said to a choice between apps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// This app; from now on, if `keep`.
    App {
        /// Which.
        app: AppId,
        /// Is it to be the default?
        keep: bool,
    },
    /// None of them.
    NoneOfThem,
}

impl Consent {
    /// What this kind of user says to a choice: the planned app, which is offered first. Nothing, if a person is to be
    /// asked, or if nobody is there.
    #[must_use]
    pub fn pick(self, choice: &AppChoice) -> Option<Pick> {
        match self {
            Consent::Ask | Consent::Deny => None,
            Consent::Expected | Consent::Once => {
                choice.offers.first().map(|offer| Pick::App { app: offer.app.clone(), keep: false })
            }
        }
    }
}

/// The pick of a typed line: a number or a name as offered, `always` behind it for a default, or `d` for none.
#[must_use]
pub fn picked(line: &str, choice: &AppChoice) -> Option<Pick> {
    let line = line.trim().to_ascii_lowercase();
    let mut words = line.split_whitespace();
    let (word, keep) = match (words.next()?, words.next(), words.next()) {
        (word, None, None) => (word, false),
        (word, Some("always"), None) => (word, true),
        _ => return None,
    };
    if matches!(word, "d" | "deny" | "none" | "n" | "no") && !keep {
        return Some(Pick::NoneOfThem);
    }
    let place = word.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let mut offers = choice.offers.iter().enumerate();
    let offer = offers.find(|(index, offer)| Some(*index) == place || offer.app.as_str() == word);
    offer.map(|(_, offer)| Pick::App { app: offer.app.clone(), keep })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompt(warning: Option<&str>, offers: &[Choice]) -> Prompt {
        serde_json::from_value(json!({
            "id": "p", "query": "q", "session": "s", "warning": warning, "apps_words": null, "offers": offers, "limit_ms": 1,
            "flow": {"from": "plan", "to": "mail.send", "args": {}, "labels": [], "expected": warning.is_none(), "effect": "write",
                "category": "exec", "decision": "ask", "by": "policy:write", "reason": ""}
        }))
        .unwrap()
    }

    #[test]
    fn a_heeding_user_refuses_whatever_carries_a_warning() {
        let offers = [Choice::Once, Choice::Deny];
        assert_eq!(Consent::Expected.answer(&prompt(None, &offers)), Answer::Say(Choice::Once));
        assert_eq!(Consent::Expected.answer(&prompt(Some("!"), &offers)), Answer::Say(Choice::Deny));
        assert_eq!(Consent::Once.answer(&prompt(Some("!"), &offers)), Answer::Say(Choice::Once));
        assert_eq!(Consent::Deny.answer(&prompt(None, &offers)), Answer::Say(Choice::Deny));
    }

    #[test]
    fn an_answer_may_name_the_flows_that_it_is_meant_for() {
        let mut asked = prompt(None, &[Choice::Once, Choice::Always, Choice::Deny]);
        asked.others = vec![asked.flow.clone(), asked.flow.clone()];
        asked.widths = vec![Width::Shown, Width::Domain("x.example".into())];
        let only = |line: &str| spoken(line, &asked).map(|reply| reply.only);
        assert_eq!(only("o"), Some(None));
        assert_eq!(only("once 1,3"), Some(Some(vec![0, 2])));
        assert_eq!(only("o 1 2"), Some(Some(vec![0, 1])));
        let width = spoken("a :2", &asked).unwrap().width;
        assert_eq!(width, Some(Width::Domain("x.example".into())));
        let days = |line: &str| spoken(line, &asked).map(|reply| (reply.choice, reply.days));
        assert_eq!(days("a"), Some((Choice::Always, None)));
        assert_eq!(days("always 7d"), Some((Choice::Always, Some(7))));
        assert_eq!(days("a :2 7d"), Some((Choice::Always, Some(7))));
        assert_eq!(days("m"), Some((Choice::Always, Some(30))));
        // What is not clear is no answer.
        for line in
            ["", "o 0", "o 4", "o one", "a :3", "a :0", "s", "1", "a 0d", "a d", "a -1d", "a 99999d", "o 7d"]
        {
            assert_eq!(spoken(line, &asked), None, "{line:?}");
        }
    }

    #[test]
    fn an_always_with_an_end_is_offered_where_always_is() {
        let offers = [Choice::Once, Choice::Deny];
        assert_eq!(answered("m", &offers), None);
        assert_eq!(spoken("month", &prompt(None, &offers)), None);
    }

    #[test]
    fn nothing_is_allowed_that_is_not_offered() {
        assert_eq!(Consent::Once.answer(&prompt(None, &[Choice::Deny])), Answer::Say(Choice::Deny));
        assert_eq!(typed("a", &[Choice::Once, Choice::Deny]), None);
        assert_eq!(typed("Once\n", &[Choice::Once, Choice::Deny]), Some(Choice::Once));
    }

    #[test]
    fn an_app_is_picked_by_number_or_name_and_nothing_else_picks_one() {
        let offer = |app: &str| json!({"app": app, "functionalities": []});
        let choice: AppChoice = serde_json::from_value(
            json!({"id": "c", "args": {}, "offers": [offer("metro_hail"), offer("quick_ride")], "limit_ms": 1}),
        )
        .unwrap();
        let app = |name: &str, keep| Some(Pick::App { app: AppId::parse(name).unwrap(), keep });
        assert_eq!(picked("2\n", &choice), app("quick_ride", false));
        assert_eq!(picked("Metro_Hail always", &choice), app("metro_hail", true));
        assert_eq!(picked("d", &choice), Some(Pick::NoneOfThem));
        for line in ["", "0", "3", "always", "d always", "1 2", "drive", "What is the fare?"] {
            assert_eq!(picked(line, &choice), None, "{line}");
        }
        // The planned app is offered first.
        assert_eq!(Consent::Expected.pick(&choice), app("metro_hail", false));
        assert_eq!(Consent::Ask.pick(&choice), None);
    }
}
