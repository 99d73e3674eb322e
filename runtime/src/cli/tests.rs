//! What `cli.rs` promises, each promise a test.

#![allow(clippy::unwrap_used)]

use clap::{CommandFactory, Parser};
use insta::assert_snapshot;

use super::*;

/// What is printed for these words, help or complaint, on a wide terminal.
fn said(words: &str) -> String {
    let words = std::iter::once("secgpt").chain(words.split_whitespace());
    Cli::command().term_width(100).try_get_matches_from(words).unwrap_err().to_string()
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_teaches_by_example() {
    assert_snapshot!(said("-h"), @r"
Runs LLM apps that do not trust each other, each in a cell of its own

Usage: secgpt [OPTIONS] [COMMAND]

Commands:
  chat         Talk, with history and permission prompts (this is what plain `secgpt` does)
  ask          Ask one query and print the answer
  up           Start everything and stay, until Ctrl-C
  tap          Watch every message on the bus, live
  apps         Show the installed apps
  grants       Show or take back permissions that were given for good
  stats        Say how often you were asked, and about what
  policy       Try rules, say why a flow was decided so, suggest rules that spare questions
  memory       Show or forget what is remembered
  acl          Print who may say and hear what on the bus
  doctor       Say what this machine can enforce, and what is missing
  case-study   Play one of the four case studies, and judge it by what really happened
  host         Let other machines run spokes for this one
  model        The scripted model
  completions  Print completions for a shell
  help         Print this message or the help of the given subcommand(s)

Options:
      --config <FILE>    Read the settings from this file
      --set <KEY=VALUE>  Set one setting, e.g. --set model.base_url=http://localhost:8000/v1
      --state <DIR>      Keep keys, data and logs in this folder
      --json             Print JSON, for programs
  -q, --quiet            Say nothing but what was asked for
      --color <WHEN>     When to use colour [default: auto] [possible values: auto, always, never]
  -h, --help             Print help (see more with '--help')
  -V, --version          Print version

Examples:
  secgpt                                   start everything and chat
  secgpt ask 'What does a ride from Main Street to Elm Avenue cost?'
  secgpt ask --json --consent expected 'Summarise my newest email' | jq .answer
  secgpt up                                start everything and stay; other terminals join
  secgpt tap                               watch every message, live
  secgpt case-study 2                      a mail that tries to steal, and what becomes of it
  secgpt doctor                            what this machine can enforce

Exit codes: 0 answered, 1 failed, 2 usage, 3 refused by permission.
");
}

#[test]
fn the_help_of_ask_says_the_exit_codes() {
    assert_snapshot!(said("ask -h"), @r"
Ask one query and print the answer

Usage: secgpt ask [OPTIONS] <QUERY>

Arguments:
  <QUERY>  The query

Options:
      --config <FILE>    Read the settings from this file
      --user <U>         For whom [default: your login name]
      --session <S>      Go on with this conversation [default: a new one]
      --set <KEY=VALUE>  Set one setting, e.g. --set model.base_url=http://localhost:8000/v1
      --private          Keep nothing of this, and offer apps nothing that is stored
      --state <DIR>      Keep keys, data and logs in this folder
      --consent <C>      How permission prompts are answered [default: ask on a terminal, deny
                         elsewhere] [possible values: ask, deny, expected, once]
      --json             Print JSON, for programs
      --baseline         Without isolation: all apps in one context, no permission; for comparison
                         only
  -q, --quiet            Say nothing but what was asked for
      --color <WHEN>     When to use colour [default: auto] [possible values: auto, always, never]
  -h, --help             Print help (see more with '--help')

Examples:
  secgpt ask 'Use metro_hail to get the fare from Main Street to Elm Avenue'
  secgpt ask --consent once 'Book a flight from Irvine to Paris on June 10th'
  secgpt ask --json --baseline 'Summarise my newest email'

Exit codes: 0 answered, 1 failed, 2 usage, 3 refused by permission.
");
}

#[test]
fn the_help_of_case_study_says_what_each_is_about() {
    assert_snapshot!(said("case-study -h"), @r"
Play one of the four case studies, and judge it by what really happened

Usage: secgpt case-study [OPTIONS] <NUMBER>

Arguments:
  <NUMBER>  Which

Options:
      --baseline         Play it without isolation only
      --config <FILE>    Read the settings from this file
      --consent <C>      How permission prompts are answered [default: expected] [possible values:
                         ask, deny, expected, once]
      --set <KEY=VALUE>  Set one setting, e.g. --set model.base_url=http://localhost:8000/v1
      --state <DIR>      Keep keys, data and logs in this folder
      --json             Print JSON, for programs
  -q, --quiet            Say nothing but what was asked for
      --color <WHEN>     When to use colour [default: auto] [possible values: auto, always, never]
  -h, --help             Print help (see more with '--help')

The studies:
  1  an app's description orders the fares of others to be raised
  2  a mail orders the Drive to be read, sent away, and itself to be deleted
  3  an app asks for any personal data on record
  4  an app turns every answer into fiction

Each is judged by what really happened: the figures shown, the mail that left, the data that
arrived.
Without --baseline both systems are played, side by side.
");
}

#[test]
fn a_misspelt_command_is_guessed() {
    assert_snapshot!(said("doktor"), @r"
error: unrecognized subcommand 'doktor'

  tip: a similar subcommand exists: 'doctor'

Usage: secgpt [OPTIONS] [COMMAND]

For more information, try '--help'.
");
}

#[test]
fn a_fifth_case_study_is_refused() {
    assert_snapshot!(said("case-study 5"), @r"
error: invalid value '5' for '<NUMBER>': 5 is not in 1..=4

For more information, try '--help'.
");
}

#[test]
fn a_user_name_that_would_change_a_subject_is_refused() {
    assert_snapshot!(said("ask --user a.b hello"), @r#"
error: invalid value 'a.b' for '--user <U>': "a.b" is not a legal user name: 1 to 64 of a-z, A-Z, 0-9, _ and -, first a letter or digit, no two underscores in a row

For more information, try '--help'.
"#);
}

#[test]
fn every_setting_is_in_the_long_help() {
    let help = said("--help");
    for key in crate::config::keys() {
        let (section, name) = key.split_once('.').unwrap();
        assert!(help.contains(&format!("[{section}]")) && help.contains(name), "{key}");
    }
}

#[test]
fn a_flag_for_the_state_folder_is_a_setting_like_any_other() {
    let cli = Cli::parse_from(["secgpt", "--state", "/x", "--set", "model.model=a", "up"]);
    let set = cli.global.sources().set;
    assert_eq!(set, vec![("model.model".into(), "a".into()), ("state.dir".into(), "/x".into())]);
}
