//! Patterns to subscribe to.
//!
//! Answers: how is "all of these subjects" spelled?
//! Never: is a wildcard written elsewhere.

use super::Service;
use crate::id::{HostId, SpokeAddr, UserId};

/// All that is for that spoke.
#[must_use]
pub fn spoke_in(spoke: &SpokeAddr) -> String {
    format!("secgpt.spoke.{spoke}.in.>")
}
/// All that this spoke may say.
#[must_use]
pub fn spoke_out(spoke: &SpokeAddr) -> String {
    format!("secgpt.spoke.{spoke}.out.>")
}
/// What every spoke says to that service.
#[must_use]
pub fn every_spoke_to(service: Service) -> String {
    format!("secgpt.spoke.*.*.out.{}.*", service.as_str())
}
/// What the hub says to that gateway.
#[must_use]
pub fn hub_to(service: Service) -> String {
    format!("secgpt.hub.out.{}.*", service.as_str())
}
/// All that is for that host.
#[must_use]
pub fn host_in(host: &HostId) -> String {
    format!("secgpt.host.{host}.in.>")
}
/// All that this host may say.
#[must_use]
pub fn host_out(host: &HostId) -> String {
    format!("secgpt.host.{host}.out.*")
}
/// All that is for that user.
#[must_use]
pub fn user_in(user: &UserId) -> String {
    format!("secgpt.user.{user}.in.>")
}
/// All that this user may say.
#[must_use]
pub fn user_out(user: &UserId) -> String {
    format!("secgpt.user.{user}.out.*")
}

/// What every host says.
pub const EVERY_HOST_OUT: &str = "secgpt.host.*.out.*";
/// What every user says.
pub const EVERY_USER_OUT: &str = "secgpt.user.*.out.*";
/// All that is for any host.
pub const ANY_HOST: &str = "secgpt.host.any.*";
/// The queue group of all hosts.
pub const HOSTS: &str = "hosts";
/// Everything that is said.
pub const ALL: &str = "secgpt.>";
/// Everything for the audit.
pub const AUDIT: &str = "secgpt.audit.>";
/// All inboxes and tasks of spokes, as the hub and the gateways may publish to them.
pub const EVERY_SPOKE_IN: &str = "secgpt.spoke.*.*.in.>";
/// All inboxes of spokes, as the gateways may publish to them.
pub const EVERY_SPOKE_REPLY: &str = "secgpt.spoke.*.*.in.reply.>";
/// All that is for hosts.
pub const EVERY_HOST_IN: &str = "secgpt.host.*.in.>";
/// All that is for users.
pub const EVERY_USER_IN: &str = "secgpt.user.*.in.>";
/// All that is for the hub.
pub const HUB_IN: &str = "secgpt.hub.in.>";
/// The hub's inbox.
pub const HUB_REPLY: &str = "secgpt.hub.in.reply.>";
/// What the hub says to gateways.
pub const HUB_OUT: &str = "secgpt.hub.out.*.*";
