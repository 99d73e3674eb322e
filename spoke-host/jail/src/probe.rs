//! stub
use crate::error::Layer;
use nix::errno::Errno;
pub(crate) fn why_no_namespace(_l: Layer, _e: Errno) -> Option<String> {
    None
}
