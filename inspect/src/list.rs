// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's doubly linked lists (`struct list_head`): two pointers, next and previous, in
//! a circle that begins and ends at the list's head.

use crate::error::MemoryError;
use crate::found::Found;
use crate::machine::Machine;
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use std::collections::HashSet;

/// No kernel has more tasks, modules or mappings of a process than this.
pub(crate) const MAX_ITEMS: usize = 1 << 20;

/// Whether a list is followed by its first pointer or by its second.
#[derive(Clone, Copy)]
enum Direction {
    Next,
    Previous,
}

impl Direction {
    /// Of an element's links, the one that leads back and the one that leads on.
    const fn back_and_on(self, (next, previous): (u64, u64)) -> (u64, u64) {
        match self {
            Self::Next => (previous, next),
            Self::Previous => (next, previous),
        }
    }
}

impl Machine<'_> {
    /// The elements of the list `what`, whose head is at `head`: the addresses of the structs
    /// that have their links `offset` bytes from their start.
    ///
    /// Where the list cannot be followed any further, it is followed from its other end.
    #[must_use]
    pub fn list(&self, what: &'static str, head: u64, offset: u64) -> Found<u64> {
        let mut seen = HashSet::from([head]);
        let mut found = Found::default();
        let (is_whole, from_start) =
            self.follow(what, head, Direction::Next, &mut seen, &mut found.troubles);
        found.items = from_start;
        if !is_whole {
            // The first link that was seen already is where both parts meet.
            let mut met = Troubles::default();
            let (_, from_end) = self.follow(what, head, Direction::Previous, &mut seen, &mut met);
            found.items.extend(from_end.iter().rev());
            // What ended the way from the start may end the one from the end too.
            let ended = found.troubles.last().cloned();
            met.retain(|one| !matches!(one, Trouble::Circle { .. }) && Some(one) != ended.as_ref());
            found.troubles.append(met);
        }
        for link in &mut found.items {
            *link = link.wrapping_sub(offset);
        }
        found
    }

    /// The links from `head` on, and whether they lead back to it.
    fn follow(
        &self,
        what: &'static str,
        head: u64,
        direction: Direction,
        seen: &mut HashSet<u64>,
        troubles: &mut Troubles,
    ) -> (bool, Vec<u64>) {
        let mut links = Vec::new();
        let mut at = head;
        loop {
            let next = match self.read_links(at) {
                Ok(ends) => direction.back_and_on(ends).1,
                Err(error) => {
                    // What cannot be read is no element.
                    if links.last() == Some(&at) {
                        links.pop();
                    }
                    let error = error.into();
                    troubles.push(Trouble::Unreadable { what, error });
                    return (false, links);
                }
            };
            if next == head {
                return (true, links);
            }
            if !seen.insert(next) {
                troubles.push(Trouble::Circle { what, at: next });
                return (false, links);
            }
            if seen.len() > MAX_ITEMS {
                let limit = MAX_ITEMS;
                troubles.push(Trouble::TooMany { what, limit });
                return (true, links);
            }
            if let Ok(ends) = self.read_links(next) {
                let (back, after) = direction.back_and_on(ends);
                if back != at {
                    troubles.push(Trouble::Torn {
                        what,
                        at,
                        next,
                        back,
                    });
                    // An element of the list is still linked with the one after it.
                    let returns = self.read_links(after);
                    if returns.map(|ends| direction.back_and_on(ends).0) != Ok(next) {
                        return (false, links);
                    }
                }
            }
            links.push(next);
            at = next;
        }
    }

    /// The next and the previous element of the one at `at`.
    fn read_links(&self, at: u64) -> Result<(u64, u64), MemoryError> {
        let mut bytes = [0; 16];
        self.read(at, &mut bytes)?;
        let (next, previous) = bytes.split_at(8);
        let number = |part: &[u8]| {
            part.first_chunk()
                .map_or(0, |part| u64::from_le_bytes(*part))
        };
        Ok((number(next), number(previous)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Reason};
    use crate::testing::{Btf, DIRECT, Kernel};

    const WHAT: &str = "list";

    /// A list of five elements, each in a page of its own, and its links.
    fn list() -> (Kernel, u64, Vec<u64>) {
        let mut kernel = Kernel::new(&Btf::new());
        let places: Vec<u64> = (0..6).map(|_| kernel.allocate(0x1000)).collect();
        let (head, elements) = places.split_first().unwrap();
        kernel.link(*head, elements);
        (kernel, *head, elements.to_vec())
    }

    fn found(kernel: Kernel, head: u64) -> Found<u64> {
        kernel.image().machine().list(WHAT, head, 0)
    }

    #[test]
    fn a_whole_list_has_all_elements_in_order_and_no_trouble() {
        let (kernel, head, elements) = list();
        let image = kernel.image();
        let found = image.machine().list(WHAT, head, 0x10);
        let starts: Vec<u64> = elements.iter().map(|link| link - 0x10).collect();
        assert_eq!((found.items, found.troubles), (starts, Troubles::default()));
    }

    #[test]
    fn an_empty_list_has_none() {
        let mut kernel = Kernel::new(&Btf::new());
        let head = kernel.allocate(16);
        kernel.link(head, &[]);
        assert_eq!(found(kernel, head), Found::default());
    }

    #[test]
    fn a_missing_element_is_reached_from_both_ends() {
        let (mut kernel, head, elements) = list();
        kernel.lose(elements[2]);
        let found = found(kernel, head);
        assert_eq!(
            found.items,
            [elements[0], elements[1], elements[3], elements[4]]
        );
        // From the other end it is where both parts meet.
        let [
            Trouble::Unreadable {
                error: Error::Memory(error),
                ..
            },
        ] = &found.troubles[..]
        else {
            panic!("{:?}", found.troubles);
        };
        assert_eq!(error.address, elements[2]);
        assert!(matches!(error.reason, Reason::NotInImage { .. }));
    }

    #[test]
    fn a_circle_that_leaves_out_the_head_ends() {
        let (mut kernel, head, elements) = list();
        kernel.put(elements[3], elements[1]);
        let found = found(kernel, head);
        assert_eq!(found.items, elements);
        let circle = Trouble::Circle {
            what: WHAT,
            at: elements[1],
        };
        assert_eq!(found.troubles, [circle]);
    }

    #[test]
    fn an_element_that_points_to_itself_ends() {
        let (mut kernel, head, elements) = list();
        kernel.put(elements[4], elements[4]);
        let found = found(kernel, head);
        assert_eq!(found.items, elements);
        assert_eq!(found.troubles.len(), 1, "{:?}", found.troubles);
    }

    #[test]
    fn an_element_that_was_added_meanwhile_is_listed_and_said() {
        let (mut kernel, head, elements) = list();
        // The one before it leads to it; the one after it does not lead back yet.
        kernel.put(elements[2] + 8, elements[0]);
        let found = found(kernel, head);
        assert_eq!(found.items, elements);
        assert_eq!(
            found.troubles,
            [Trouble::Torn {
                what: WHAT,
                at: elements[1],
                next: elements[2],
                back: elements[0]
            }]
        );
    }

    #[test]
    fn a_wild_link_is_no_element_and_the_rest_comes_from_the_other_end() {
        let (mut kernel, head, elements) = list();
        let elsewhere = kernel.allocate(0x1000);
        kernel.put(elsewhere, 0x4141_4141_4141_4141);
        kernel.put(elements[1], elsewhere);
        let found = found(kernel, head);
        assert_eq!(found.items, elements);
        let torn = Trouble::Torn {
            what: WHAT,
            at: elements[1],
            next: elsewhere,
            back: 0,
        };
        assert!(found.troubles.contains(&torn), "{:?}", found.troubles);
    }

    #[test]
    fn a_head_that_cannot_be_read_has_no_elements() {
        let (kernel, _, _) = list();
        let found = found(kernel, DIRECT + (1 << 40));
        assert_eq!(found.items, []);
        assert_eq!(found.troubles.len(), 1);
    }
}
