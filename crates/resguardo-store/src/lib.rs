//! Object storage as the vault needs it: few operations, immutable objects, named errors.
//!
//! [`port`] is the contract; the adapters and the wrappers all pass the same suite.

pub mod port;

pub use port::{Capabilities, Condition, Key, KeyError, ObjectInfo, Store, StoreError, Version};
