//! What is captured and what is not: self-calls, probes, connections older than the rules; that rules come, stay
//! and go; and that nothing passes while no ztunnel runs.

#[path = "capture/enrolment.rs"]
mod enrolment;
#[path = "capture/exemptions.rs"]
mod exemptions;
#[path = "capture/outage.rs"]
mod outage;
#[path = "capture/rules.rs"]
mod rules;
