//! Confinement of spokes and app children.
