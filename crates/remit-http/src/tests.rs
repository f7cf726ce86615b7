//! The whole surface, over real services, a store in memory and an upstream that does what a test tells it.

mod approval_attacks;
mod authzen;
mod dpop;
mod edge;
mod envoy;
mod house;
mod matrix;
mod mcp;
mod mcp_old;
mod oauth;
mod rest;
