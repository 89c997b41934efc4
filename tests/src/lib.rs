// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing but the tests in `tests/it`: each boots a stock kernel in a virtual machine
//! and checks the results from outside.
