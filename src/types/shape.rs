//! Shapes: the field names of small hashes, kept once for all hashes that have the same ones in the same order.
//!
//! Without ancestor in the servers (it is what object-oriented runtimes call hidden classes). A program that keeps its
//! records as hashes writes the same names a million times; a hash with a shape holds its values alone.
//!
//! ```text
//! root ─ "name" ─→ {name} ─ "mail" ─→ {name, mail} ─ "age" ─→ {name, mail, age}     a hash: | shape | values |
//!                         └ "id"   ─→ {name, id}
//! ```
//!
//! Each shape knows how it goes on. A new step is made when it is wanted for the second time within a while, so names
//! that never come again (a hash used as a dictionary) cost a comparison and no shape. A shape lives as long as a hash
//! or a longer shape needs it. From outside nothing tells whether a hash has one: the bytes of its snapshot and the
//! order of its fields are those of the listpack that it stands for.

use super::listpack::Listpack;
use crate::base::hash::hash;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// A hash of more fields keeps its names itself.
const FIELDS_MAX: usize = 64;
/// As does one with a longer name.
const NAME_MAX: usize = 64;
/// In how many ways a shape goes on at most; looking for one reads all of them.
const STEPS_MAX: usize = 32;
/// How many shapes there are at most.
const SHAPES_MAX: usize = 4096;
/// So many of the last wished steps are remembered.
const WISHES: usize = 1024;
/// So many of the shapes made last are kept though no hash has them: the next may have.
const KEPT: usize = 64;

/// The names of some fields, in their order.
pub(super) struct Shape {
    /// The names as entries of a listpack.
    names: Listpack,
    /// The names as text, one after the other.
    text: Vec<u8>,
    /// Where each name ends in `text`.
    ends: Vec<u16>,
    /// A byte of each name, by which most others are told apart.
    tags: Vec<u8>,
    /// Stands for the names and their order.
    path: u64,
    /// The shapes with one more name. One that nobody has any more goes from here when the next comes.
    steps: RefCell<Vec<Step>>,
    /// The shape with one name less, whose steps this is one of: it must live.
    _shorter: Option<Rc<Shape>>,
}

/// How a shape goes on, with the tag of the name that comes.
struct Step(u8, Weak<Shape>);

/// What all shapes have in common.
struct Nursery {
    root: Rc<Shape>,
    wishes: Box<[u64; WISHES]>,
    kept: VecDeque<Rc<Shape>>,
    alive: usize,
}

thread_local! {
    static NURSERY: RefCell<Nursery> = RefCell::new(Nursery {
        root: Rc::new(Shape::root()),
        wishes: Box::new([0; WISHES]),
        kept: VecDeque::new(),
        alive: 0,
    });
}

fn tag_of(name: &[u8]) -> u8 {
    let last = name.last().copied().unwrap_or(0);
    last.wrapping_add((name.len() as u8).rotate_left(5))
}

impl Nursery {
    /// Whether a step has been wished for before; notes that it has been now.
    fn wishes_again(&mut self, path: u64) -> bool {
        let wish = &mut self.wishes[path as usize % WISHES];
        std::mem::replace(wish, path) == path
    }

    fn keep(&mut self, shape: &Rc<Shape>) -> Option<Rc<Shape>> {
        self.alive += 1;
        self.kept.push_back(shape.clone());
        if self.kept.len() > KEPT { self.kept.pop_front() } else { None }
    }
}

impl Shape {
    fn root() -> Self {
        Shape {
            names: Listpack::new(),
            text: Vec::new(),
            ends: Vec::new(),
            tags: Vec::new(),
            path: 0,
            steps: RefCell::default(),
            _shorter: None,
        }
    }

    fn with(shorter: &Rc<Shape>, name: &[u8], path: u64) -> Self {
        let mut names = shorter.names.clone();
        names.push(name);
        let text = [&shorter.text, name].concat();
        let ends = shorter.ends.iter().copied().chain([text.len() as u16]).collect();
        let tags = shorter.tags.iter().copied().chain([tag_of(name)]).collect();
        Shape { names, text, ends, tags, path, steps: RefCell::default(), _shorter: Some(shorter.clone()) }
    }

    /// The shape with a single name.
    pub(super) fn first(name: &[u8]) -> Option<Rc<Shape>> {
        NURSERY.with_borrow(|nursery| nursery.root.clone()).longer(name)
    }

    /// The shape with these names, or `None` if there is none, or a name stands twice.
    pub(super) fn of<'a>(mut names: impl Iterator<Item = super::Element<'a>>) -> Option<Rc<Shape>> {
        let mut scratch = [0; 20];
        let first = Shape::first(names.next()?.as_bytes(&mut scratch))?;
        names.try_fold(first, |shape, name| shape.longer(name.as_bytes(&mut scratch)))
    }

    /// The shape with this name after all others, or `None` if there is none; then the name is none of those here.
    pub(super) fn longer(self: &Rc<Shape>, name: &[u8]) -> Option<Rc<Shape>> {
        let tag = tag_of(name);
        let steps = self.steps.borrow();
        let mut likely = steps.iter().filter(|step| step.0 == tag).filter_map(|step| step.1.upgrade());
        let step = likely.find(|longer| longer.last() == name);
        drop(likely);
        drop(steps);
        if step.is_some() { step } else { self.new_step(name) }
    }

    #[cold]
    fn new_step(self: &Rc<Shape>, name: &[u8]) -> Option<Rc<Shape>> {
        if self.len() == FIELDS_MAX || name.len() > NAME_MAX || self.position(name).is_some() {
            return None;
        }
        let path = self.path.rotate_left(17) ^ hash(name);
        let (made, _dropped_outside_the_borrow) = NURSERY.with_borrow_mut(|nursery| {
            if !nursery.wishes_again(path) || nursery.alive == SHAPES_MAX {
                return (None, None);
            }
            let mut steps = self.steps.borrow_mut();
            steps.retain(|step| step.1.strong_count() > 0);
            if steps.len() == STEPS_MAX {
                return (None, None);
            }
            let made = Rc::new(Shape::with(self, name, path));
            steps.push(Step(tag_of(name), Rc::downgrade(&made)));
            let dropped = nursery.keep(&made);
            (Some(made), dropped)
        });
        made
    }

    /// The shape without the name at `position`.
    pub(super) fn without(&self, position: usize) -> Option<Rc<Shape>> {
        Shape::of(self.names.iter().enumerate().filter(|(at, _)| *at != position).map(|(_, name)| name))
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }

    /// The names.
    pub(super) fn names(&self) -> &Listpack {
        &self.names
    }

    fn name(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.text[usize::from(start)..usize::from(self.ends[position])]
    }

    fn last(&self) -> &[u8] {
        self.name(self.len() - 1)
    }

    /// Which of the names this is.
    pub(super) fn position(&self, name: &[u8]) -> Option<usize> {
        let tag = tag_of(name);
        self.tags.iter().enumerate().find(|(at, here)| **here == tag && self.name(*at) == name).map(|(at, _)| at)
    }
}

impl Drop for Shape {
    fn drop(&mut self) {
        // At the end of a thread the nursery may be gone first.
        let _ = NURSERY.try_with(|nursery| nursery.try_borrow_mut().map(|mut nursery| nursery.alive -= 1));
    }
}
