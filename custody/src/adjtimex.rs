// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says about its own clock: the only file with unsafe code, as no library
//! wraps adjtimex(2).

#![allow(unsafe_code)]

/// What adjtimex(2) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// Whether something (NTP, PTP) keeps the clock synchronised.
    pub synchronised: bool,
    /// How far it is off at most, in microseconds; it grows until it is synchronised again.
    pub max_error_us: u64,
}

/// Asks the kernel; `None` if it does not answer, as in some sandboxes.
pub fn clock_state() -> Option<ClockState> {
    // SAFETY: the struct has nothing but integers, for which zero is a value.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // With no mode set, nothing is changed.
    state.modes = 0;
    // SAFETY: the pointer is to a struct of the right type, which lives longer than the call and
    // has no pointers in it.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    (answer >= 0).then(|| ClockState {
        synchronised: answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0,
        max_error_us: u64::try_from(state.maxerror).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_twice_alike() {
        let states = [clock_state(), clock_state()];
        let [first, second] = states.map(|state| state.map(|state| state.synchronised));
        assert_eq!(first, second);
    }
}
