//! The secgpt command: supervisor, chat, tap, scripted model, baseline.

pub mod enrolled;
pub mod environment;
pub mod error;
pub mod install;

pub mod config;
pub mod model;
pub mod offered;
pub mod past;
pub mod provider;
pub mod state;
pub mod supervisor;

pub mod client;
pub mod consent;
pub mod show;
pub mod system;

pub mod baseline;
pub mod case_study;
pub mod conversation;
pub mod editor;
pub mod tapped;

pub mod cli;
pub mod command;
