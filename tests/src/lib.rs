// SPDX-License-Identifier: MIT OR Apache-2.0
//! Only tests, in tests/it: each boots a stock kernel in a virtual machine of
//! its own and judges from outside what came out of it.
