//! The pages as a browser gets them: who may, what is refused, and what hostile text becomes.

mod approvals;
mod attack;
mod consent;
mod contrast;
mod govern;
mod house;
mod looks;
mod matrix;
mod pages;
