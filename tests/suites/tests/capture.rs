//! What is captured and what is not: self-calls, probes, exclusions, connections older than the rules; that rules and programs
//! in the kernel come, stay and go; which of them it is; and that nothing passes while no ztunnel runs.

#[path = "capture/addresses.rs"]
mod addresses;
#[path = "capture/borrowed.rs"]
mod borrowed;
#[path = "capture/choice.rs"]
mod choice;
#[path = "capture/enrolment.rs"]
mod enrolment;
#[path = "capture/exclusions.rs"]
mod exclusions;
#[path = "capture/exemptions.rs"]
mod exemptions;
#[path = "capture/goodbyes.rs"]
mod goodbyes;
#[path = "capture/halfway.rs"]
mod halfway;
#[path = "capture/handover.rs"]
mod handover;
#[path = "capture/kernel.rs"]
mod kernel;
#[path = "capture/outage.rs"]
mod outage;
#[path = "capture/owners.rs"]
mod owners;
#[path = "capture/rules.rs"]
mod rules;
#[path = "capture/squatters.rs"]
mod squatters;
#[path = "capture/ways_round.rs"]
mod ways_round;
