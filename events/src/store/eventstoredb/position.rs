//! Positions of the server, which are two numbers, as the port's, which are one.
//!
//! An event stands at (commit, prepare) with both the same. A checkpoint may stand before the record at its commit
//! position, with a smaller prepare position: whoever resumed from the commit position alone would miss that record,
//! and whoever resumed one byte before it would not be let in, since no record begins there. So one bit of the port's
//! position tells the two apart: 2 × commit + 1 is "through the record there", 2 × commit "up to it".

use super::wire::WirePosition;
use crate::ids::Position;

pub(super) fn to_port(wire: WirePosition) -> Position {
    Position::new(wire.commit.saturating_mul(2) | u64::from(wire.prepare >= wire.commit))
}

/// `None` is the start.
pub(super) fn to_wire(position: Position) -> Option<WirePosition> {
    let commit = position.get() / 2;
    let prepare = if is_through(position) { commit } else { 0 };
    (position != Position::START).then_some(WirePosition { commit, prepare })
}

/// Whether it is that of a record, and not the one before it.
pub(super) fn is_through(position: Position) -> bool {
    !position.get().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(commit: u64, prepare: u64) -> WirePosition {
        WirePosition { commit, prepare }
    }

    #[test]
    fn a_position_goes_there_and_back() {
        for position in [wire(0, 0), wire(1, 1), wire(7, 0), wire(1 << 62, 1 << 62), wire(1 << 62, 0)] {
            assert_eq!(to_wire(to_port(position)), Some(position));
        }
        assert_eq!(to_wire(Position::START), None);
    }

    #[test]
    fn up_to_a_record_is_before_it_and_behind_the_one_before() {
        assert!(to_port(wire(7, 0)) < to_port(wire(7, 7)));
        assert!(to_port(wire(7, 0)) > to_port(wire(6, 6)));
        assert!(to_port(wire(0, 0)) > Position::START);
    }
}
