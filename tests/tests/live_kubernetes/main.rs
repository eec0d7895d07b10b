//! Kubernetes: a real API server, and a real cluster of one node.
//!
//! Both come from `tests/engines/k8s-up.sh`, whose programs take minutes to build: where they are not
//! built, and `CAPTURE_K8S` does not ask for it, the suite is skipped.

mod api;
mod cluster;
mod daemonset;
mod pods;
mod server;
