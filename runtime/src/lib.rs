//! The secgpt command: supervisor, chat, tap, scripted model, baseline.
