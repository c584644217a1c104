//! The search for an order that makes few rows on the way.

/// Relations up to which all orders are looked at; of more, those are joined first that make the fewest rows.
const EXHAUSTIVE_MAX: usize = 10;

/// Which relations: a bit each.
pub(super) type Set = u64;

/// An order of joins. The left side of a join is the smaller one, which is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    Relation(usize),
    Join(Box<Tree>, Box<Tree>),
}

impl Tree {
    pub(super) fn join(left: Self, right: Self) -> Self {
        Self::Join(Box::new(left), Box::new(right))
    }

    /// The relations within it.
    pub(super) fn set(&self) -> Set {
        match self {
            Self::Relation(number) => 1 << number,
            Self::Join(left, right) => left.set() | right.set(),
        }
    }
}

/// What is known of one relation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    /// Rows that its own conditions leave.
    pub(super) rows: f64,
    /// Rows without them.
    pub(super) all: f64,
}

/// Columns that are equal to each other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Keys {
    /// The relations that have one.
    pub(super) relations: Set,
    /// How many values they have between them.
    pub(super) values: f64,
}

/// A condition of several relations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Condition {
    pub(super) relations: Set,
    /// The share of the rows that fulfil it.
    pub(super) share: f64,
}

/// What a search goes by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Estimates {
    pub(super) sizes: Vec<Size>,
    pub(super) keys: Vec<Keys>,
    pub(super) conditions: Vec<Condition>,
}

/// An order, the rows that come out and the sum of the rows of all its joins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ordered {
    pub(super) tree: Tree,
    pub(super) rows: f64,
    pub(super) cost: f64,
}

impl Estimates {
    /// The cheapest order that joins by keys only; none where some relations have none in common with the others.
    pub(super) fn best(&self) -> Option<Ordered> {
        match self.sizes.len() {
            0 => None,
            count if count <= EXHAUSTIVE_MAX => self.exhaustive(count),
            _ => self.greedy(),
        }
    }

    /// What an order costs.
    pub(super) fn cost(&self, tree: &Tree) -> f64 {
        self.of(tree).cost
    }

    fn of(&self, tree: &Tree) -> Ordered {
        match tree {
            Tree::Relation(number) => self.alone(*number),
            Tree::Join(left, right) => self.joined(&self.of(left), &self.of(right)),
        }
    }

    fn alone(&self, number: usize) -> Ordered {
        Ordered {
            tree: Tree::Relation(number),
            rows: self.sizes.get(number).map_or(1.0, |size| size.rows),
            cost: 0.0,
        }
    }

    fn joined(&self, one: &Ordered, other: &Ordered) -> Ordered {
        let rows = self.rows(one, other);
        let (left, right) = match one.rows <= other.rows {
            true => (one, other),
            false => (other, one),
        };
        Ordered {
            tree: Tree::join(left.tree.clone(), right.tree.clone()),
            rows,
            cost: one.cost + other.cost + rows,
        }
    }

    /// The rows of a join: of all pairs, as many share their keys as if values were spread evenly and the side with fewer had no others.
    fn rows(&self, one: &Ordered, other: &Ordered) -> f64 {
        let (left, right) = (one.tree.set(), other.tree.set());
        let both = left | right;
        let crossing = |keys: &&Keys| keys.relations & left != 0 && keys.relations & right != 0;
        let keys: Vec<&Keys> = self.keys.iter().filter(crossing).collect();
        let mut values: f64 = keys.iter().map(|keys| keys.values).product();
        if keys.len() > 1 {
            // Several columns have no more values between them than their table has rows.
            for side in [left, right] {
                let within = keys.iter().fold(side, |within, keys| within & keys.relations);
                let tables = (0..self.sizes.len()).filter(|number| within & (1 << number) != 0);
                let most = tables.filter_map(|number| self.sizes.get(number)).map(|size| size.all);
                values = most.fold(values, f64::min);
            }
        }
        let new = |condition: &&Condition| {
            let all = condition.relations;
            all & both == all && all & left != all && all & right != all
        };
        let share: f64 = self
            .conditions
            .iter()
            .filter(new)
            .map(|condition| condition.share)
            .product();
        (one.rows * other.rows / values.max(1.0) * share).max(1.0)
    }

    fn connected(&self, one: Set, other: Set) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|keys| keys.relations & one != 0 && keys.relations & other != 0)
    }

    /// The best order of each set is made of the best ones of two parts of it.
    fn exhaustive(&self, count: usize) -> Option<Ordered> {
        let all: Set = (1 << count) - 1;
        let mut best: Vec<Option<Ordered>> = vec![None; 1 << count];
        for set in 1..=all {
            if set.count_ones() == 1 {
                *best.get_mut(place(set)?)? = Some(self.alone(usize::try_from(set.trailing_zeros()).ok()?));
                continue;
            }
            let mut found: Option<Ordered> = None;
            // Each pair of parts once: the part with the first relation and what it leaves.
            let mut part = (set - 1) & set;
            while part != 0 {
                let rest = set & !part;
                if part < rest
                    && self.connected(part, rest)
                    && let (Some(one), Some(other)) = (best.get(place(part)?)?, best.get(place(rest)?)?)
                {
                    let cheaper = |than: &Ordered| one.cost + other.cost + self.rows(one, other) < than.cost;
                    if found.as_ref().is_none_or(cheaper) {
                        found = Some(self.joined(one, other));
                    }
                }
                part = (part - 1) & set;
            }
            *best.get_mut(place(set)?)? = found;
        }
        best.pop()?
    }

    fn greedy(&self) -> Option<Ordered> {
        let mut parts: Vec<Ordered> = (0..self.sizes.len()).map(|number| self.alone(number)).collect();
        while parts.len() > 1 {
            let mut fewest: Option<(usize, usize, f64)> = None;
            for (at, one) in parts.iter().enumerate() {
                for (beside, other) in parts.iter().enumerate().skip(at + 1) {
                    if !self.connected(one.tree.set(), other.tree.set()) {
                        continue;
                    }
                    let rows = self.rows(one, other);
                    if fewest.is_none_or(|(_, _, least)| rows < least) {
                        fewest = Some((at, beside, rows));
                    }
                }
            }
            let (at, beside, _) = fewest?;
            let (other, one) = (parts.swap_remove(beside), parts.swap_remove(at));
            parts.push(self.joined(&one, &other));
        }
        parts.pop()
    }
}

fn place(set: Set) -> Option<usize> {
    usize::try_from(set).ok()
}

#[cfg(test)]
mod tests {
    use super::{Condition, Estimates, Keys, Size, Tree};

    fn sizes(rows: &[(f64, f64)]) -> Vec<Size> {
        rows.iter().map(|(rows, all)| Size { rows: *rows, all: *all }).collect()
    }

    /// TPC-H's Q7 at scale factor 10: supplier, lineitem, orders, customer and nation twice.
    fn shipping() -> Estimates {
        let keys = |relations: &[usize], values| Keys {
            relations: relations.iter().map(|number| 1 << number).sum(),
            values,
        };
        Estimates {
            sizes: sizes(&[
                (1e5, 1e5),
                (2e7, 6e7),
                (1.5e7, 1.5e7),
                (1.5e6, 1.5e6),
                (2.0, 25.0),
                (2.0, 25.0),
            ]),
            keys: vec![
                keys(&[0, 1], 1e5),
                keys(&[1, 2], 1.5e7),
                keys(&[2, 3], 1.5e6),
                keys(&[0, 4], 25.0),
                keys(&[3, 5], 25.0),
            ],
            conditions: vec![Condition {
                relations: 0b11_0000,
                share: 0.5,
            }],
        }
    }

    /// Every order of some relations, cross joins among them.
    fn all_orders(relations: &[usize]) -> Vec<Tree> {
        let [first, rest @ ..] = relations else {
            return Vec::new();
        };
        if rest.is_empty() {
            return vec![Tree::Relation(*first)];
        }
        let mut all = Vec::new();
        for chosen in 0..(1_usize << rest.len()) - 1 {
            let picked = |wanted: bool| {
                let numbered = rest.iter().enumerate();
                numbered.filter_map(move |(at, relation)| ((chosen >> at & 1 == 1) == wanted).then_some(*relation))
            };
            let with: Vec<usize> = std::iter::once(*first).chain(picked(true)).collect();
            let without: Vec<usize> = picked(false).collect();
            for left in all_orders(&with) {
                for right in all_orders(&without) {
                    all.push(Tree::join(left.clone(), right));
                }
            }
        }
        all
    }

    // Goal: no order that joins by keys is cheaper than the one that is found. Method: all orders of six relations, 945 of them.
    #[test]
    fn the_cheapest_is_found() {
        let estimates = shipping();
        let best = estimates.best().expect("an order");
        let orders = all_orders(&[0, 1, 2, 3, 4, 5]);
        assert_eq!(orders.len(), 945);
        let by_keys = |tree: &&Tree| connected(&estimates, tree);
        let costs = orders.iter().filter(by_keys).map(|tree| estimates.cost(tree));
        let least = costs.fold(f64::INFINITY, f64::min);
        assert!((best.cost - least).abs() <= least * 1e-9, "{} and {least}", best.cost);
        let stated = [1, 2, 3, 4, 5]
            .into_iter()
            .fold(Tree::Relation(0), |tree, next| Tree::join(tree, Tree::Relation(next)));
        assert!(best.cost < 0.2 * estimates.cost(&stated), "{best:?}");
    }

    fn connected(estimates: &Estimates, tree: &Tree) -> bool {
        match tree {
            Tree::Relation(_) => true,
            Tree::Join(left, right) => {
                estimates.connected(left.set(), right.set())
                    && connected(estimates, left)
                    && connected(estimates, right)
            }
        }
    }

    // Goal: many relations find an order too, and those without a key in common find none. Method: a star of forty, and two relations.
    #[test]
    fn many_relations_and_separate_ones() {
        let rows: Vec<(f64, f64)> = (0..40).map(|number| (f64::from(number + 1), 1e3)).collect();
        let star = Estimates {
            sizes: sizes(&rows),
            keys: (1..40_u32)
                .map(|number| Keys {
                    relations: 1 | 1 << number,
                    values: 1e3,
                })
                .collect(),
            conditions: Vec::new(),
        };
        let best = star.best().expect("an order");
        assert_eq!(best.tree.set(), (1 << 40) - 1);
        let apart = Estimates {
            sizes: sizes(&[(1.0, 1.0), (1.0, 1.0)]),
            ..Estimates::default()
        };
        assert_eq!(apart.best(), None);
    }
}
