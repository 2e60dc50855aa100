//! The window, driven by the labels of its controls as a person or a screen reader finds them.
#![cfg(feature = "window")]

mod files;
mod looks;
mod panels;
mod stage;
mod styles;
mod tools;
mod training;
mod unsaved;
