//! What is captured and what is not: self-calls, probes, exclusions, connections older than the rules; that rules and programs
//! in the kernel come, stay and go; which of them it is; and that nothing passes while no ztunnel runs.

#[path = "capture/choice.rs"]
mod choice;
#[path = "capture/enrolment.rs"]
mod enrolment;
#[path = "capture/exclusions.rs"]
mod exclusions;
#[path = "capture/exemptions.rs"]
mod exemptions;
#[path = "capture/kernel.rs"]
mod kernel;
#[path = "capture/outage.rs"]
mod outage;
#[path = "capture/rules.rs"]
mod rules;
