//! The pages as a browser gets them: who may, what is refused, and what hostile text becomes.

mod attack;
mod contrast;
mod house;
mod matrix;
mod pages;
