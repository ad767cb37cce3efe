//! Tests of delays and failures on purpose.

use mesh::route::{Abort, Delay, Share};

use super::*;

fn fault(delay_ppm: u32, abort_ppm: u32) -> Fault {
    Fault {
        delay: Some(Delay {
            duration: Duration::from_millis(5),
            share: Share::from_ppm(delay_ppm),
        }),
        abort: Some(Abort {
            status: AbortStatus::Http(418),
            share: Share::from_ppm(abort_ppm),
        }),
    }
}

#[test]
fn all_and_none_are_certain() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..1000 {
        assert_eq!(draw(&fault(0, 0), &mut random), Verdict::default());
        assert_eq!(
            draw(&fault(1_000_000, 1_000_000), &mut random),
            Verdict {
                delay: Some(Duration::from_millis(5)),
                abort: Some(AbortStatus::Http(418)),
            }
        );
    }
    assert_eq!(draw(&Fault::default(), &mut random), Verdict::default());
}

#[test]
fn delays_and_aborts_are_drawn_independently() {
    let mut random = fastrand::Rng::with_seed(2);
    let mut seen = [[0; 2]; 2];
    for _ in 0..100_000 {
        let verdict = draw(&fault(500_000, 100_000), &mut random);
        let row = usize::from(verdict.delay.is_some());
        seen[row][usize::from(verdict.abort.is_some())] += 1;
    }
    assert!((44_000..46_000).contains(&seen[0][0]), "{seen:?}");
    assert!((44_000..46_000).contains(&seen[1][0]), "{seen:?}");
    assert!((4_500..5_500).contains(&seen[0][1]), "{seen:?}");
    assert!((4_500..5_500).contains(&seen[1][1]), "{seen:?}");
}
