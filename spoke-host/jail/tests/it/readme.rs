//! The README says what the code does, in the code's order.

use jail::{Role, explain};

#[test]
fn the_readme_lists_every_step_in_the_order_of_the_code() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for (role, heading) in [(Role::Spoke, "### A spoke"), (Role::App, "### An app")] {
        let expected: Vec<String> = explain(role)
            .iter()
            .enumerate()
            .map(|(at, (layer, what))| format!("{}. *{layer}* — {what}", at + 1))
            .collect();
        let written: Vec<&str> = readme
            .lines()
            .skip_while(|line| *line != heading)
            .skip(1)
            .take_while(|line| !line.starts_with('#'))
            .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        assert_eq!(written, expected, "under {heading}; it should read:\n{}", expected.join("\n"));
    }
}
