//! What an app says of itself, as its user vetted it.
