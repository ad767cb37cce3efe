//! The command line.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use crate::shape::Size;

/// More workloads than their addresses have room for: 10.0.0.0/8 less its first 256.
const MAX_WORKLOADS: usize = (1 << 24) - 256;

/// More services than theirs have: 172.16.0.0/12 less its first 256.
const MAX_SERVICES: usize = (1 << 20) - 256;

/// More policies than anybody has.
const MAX_POLICIES: usize = 1_000_000;

/// More changes than a patient person waits for.
const MAX_CHANGES: usize = 10_000;

/// A mesh of 100,000 workloads: the controller's time and memory, a ztunnel's, and the cost of one change.
#[derive(Clone, Debug, Parser)]
#[command(name = "scale")]
pub(crate) struct Arguments {
    /// Pods
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) workloads: usize,
    /// Services, each with its share of the pods
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) services: usize,
    /// AuthorizationPolicies, half with a selector, half of a namespace
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) policies: usize,
    /// What the names are drawn by
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The mesh to compare with is this many times smaller; 1 measures no second one
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) small: usize,
    /// Changes of one endpoint, one after the other, each time that they are measured
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) changes: usize,
    /// Also writes everything that was measured
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Measures one size in this empty folder and prints figures for the process that asked
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) round: Option<PathBuf>,
}

impl Arguments {
    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// Names the option that is out of bounds and the bounds.
    pub(crate) fn check(&self) -> Result<()> {
        let bounds = [
            ("--workloads", self.workloads, MAX_WORKLOADS),
            ("--services", self.services, MAX_SERVICES),
            ("--policies", self.policies, MAX_POLICIES),
            ("--small", self.small, MAX_WORKLOADS),
            ("--changes", self.changes, MAX_CHANGES),
        ];
        for (name, value, most) in bounds {
            if !(1..=most).contains(&value) {
                bail!("{name} {value}: expected 1 to {most}");
            }
        }
        Ok(())
    }

    /// The size that is asked for.
    pub(crate) fn size(&self) -> Size {
        Size {
            workloads: self.workloads,
            services: self.services,
            policies: self.policies,
        }
    }

    /// The sizes to measure, the one to compare with first.
    pub(crate) fn sizes(&self) -> Vec<Size> {
        let (full, small) = (self.size(), self.size().divided(self.small));
        if small == full {
            vec![full]
        } else {
            vec![small, full]
        }
    }
}
