//! A subject that claims more than is true is found out.

use anyhow::bail;

use crate::say;
use crate::spec::{Place, Spec};
use crate::subject::{Built, Subject};

#[test]
fn a_path_that_is_not_what_it_claims_is_found_out() -> anyhow::Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let ours = match lab::Program::Ztunnel.binary() {
        Ok(path) => path.display().to_string(),
        Err(error) => {
            say(&format!("skipped: {error:#}"));
            return Ok(());
        }
    };
    let tunnel = Spec::through("liar", Place::Node, &[ours]).by_tunnel();
    let mut subject = match Subject::build(tunnel.clone())? {
        Built::Ready(subject) => *subject,
        Built::Skipped(reason) => bail!("skipped: {reason}"),
    };
    assert_eq!(subject.strays()?, 0.0);

    // No policy is there that would refuse anything.
    subject.spec = tunnel.policies(1);
    let error = subject.prove().unwrap_err().to_string();
    assert!(error.contains("no policy allows it"), "{error}");

    // Nothing is joined.
    let joined = Spec::through("liar", Place::Node, &[]);
    assert_eq!(joined.security(), "same_node");
    subject.spec = joined;
    assert!(subject.strays()? >= 2.0, "both sides of each connection");
    let error = subject.prove().unwrap_err().to_string();
    assert!(error.contains("the path is what it claims"), "{error}");
    Ok(())
}
