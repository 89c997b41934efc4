// SPDX-License-Identifier: MIT OR Apache-2.0
//! The zip archive that an AFF4 volume is: stored members and 64-bit sizes throughout
//! (PKWARE's APPNOTE.TXT, 4.3 and 4.5.3).

mod archive;
mod directory;
mod fields;
mod local;
mod writer;

pub(super) use archive::{Archive, Member, content, has_directory};
pub(super) use directory::{Entry, MAX_MEMBER_IN_MEMORY_BYTES};
pub(super) use local::{Scanned, scan};
pub(super) use writer::{Family, Name, OpenMember, ZipStream};
