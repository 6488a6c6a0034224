//! Evidence as the wealth of a gambler who bets against a hypothesis.
//!
//! Every scrape is one round of a game. The gambler stakes a part `λ` of what he has, chosen before the
//! round, and gets back `1 + λ (x - 1)` times his wealth, where `x >= 0` is an outcome that the hypothesis
//! says is 1 *at most, on average, whatever happened before*. If the hypothesis holds, nobody can expect to
//! win such a game, so the wealth is a non-negative supermartingale that starts at 1, and Ville's inequality
//! (1939) says
//!
//! ```text
//! P(the wealth ever reaches 1/α) <= α
//! ```
//!
//! however often it is looked at, and whatever makes the looking stop. Wealth of 300 is therefore proof at
//! α = 1/300. Nothing is assumed of how requests of one scrape hang together: a burst of errors is one
//! outcome of one round, not so many witnesses. See Waudby-Smith and Ramdas, "Estimating means of bounded
//! random variables by betting" (JRSS B, 2024), and Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic
//! statistics and safe anytime-valid inference" (Statistical Science, 2023).
//!
//! How much to stake is no matter of validity, only of speed, and it depends on what one suspects. So the
//! money is spread over [`ACCOUNTS`], each with a suspicion of its own, and the wealth is their sum (the
//! method of mixtures; Robbins 1970). And since a regression may begin late, with a leak or a larger weight,
//! only half of the money is bet from the first round on. Of what is kept back a part is added in every round,
//! and more when the candidate gets a larger share of the traffic, so that there is always some that has not
//! been lost in the calm before. Sums of wealths are wealths: all of that costs nothing but a factor.

use super::real::count;

/// How one account bets.
struct Account {
    /// How many times as many bad events as allowed it suspects, less one.
    excess: f64,
    /// The most that it stakes.
    most: f64,
}

/// From half as many again to hundreds of times as many; and one that never stakes more than a tenth, for
/// errors that come in rare bursts: between them the others lose what they have.
const ACCOUNTS: [Account; 5] = [
    account(0.5, 1.0),
    account(4.0, 1.0),
    account(32.0, 1.0),
    account(256.0, 1.0),
    account(256.0, 0.1),
];

const fn account(excess: f64, most: f64) -> Account {
    Account { excess, most }
}

/// The part of the money that is bet from the first round on.
const AT_FIRST: f64 = 0.5;
/// After so many rounds half of what was kept back is in play: at 15 s, ten minutes.
const HALF_LIFE: f64 = 40.0;
/// The part of what is kept back that is put in play when the stage is a new one.
const AT_A_NEW_STAGE: f64 = 1.0 / 3.0;
/// No account grows beyond this: as proof it is more than enough, and what it won in an incident is lost
/// again in bounded time.
const CEILING: f64 = 1e12;

/// The wealth of one gambler.
#[derive(Clone, Debug)]
pub struct Wealth {
    accounts: [f64; ACCOUNTS.len()],
    reserve: f64,
    rounds: f64,
}

impl Default for Wealth {
    fn default() -> Self {
        Self {
            accounts: [0.0; ACCOUNTS.len()],
            reserve: 1.0,
            rounds: 0.0,
        }
    }
}

impl Wealth {
    /// One round. `expected` is how many bad events the hypothesis would expect in it, about, and `new_stage`
    /// says that the candidate gets more of the traffic than before: they decide what is staked, so they must
    /// not depend on the outcome. `outcome` is 1 on average at most; `None` where nothing happened that bears
    /// on the hypothesis, and the stake is returned.
    pub fn bet(&mut self, expected: f64, new_stage: bool, outcome: Option<f64>) {
        let added = if self.rounds == 0.0 {
            AT_FIRST
        } else if new_stage {
            AT_A_NEW_STAGE
        } else {
            1.0 / (HALF_LIFE + self.rounds)
        };
        self.rounds += 1.0;
        let fresh = self.reserve * added / count(ACCOUNTS.len() as u64);
        self.reserve -= self.reserve * added;
        for (account, wealth) in ACCOUNTS.iter().zip(&mut self.accounts) {
            *wealth += fresh;
            if let Some(outcome) = outcome {
                *wealth *= 1.0 + account.stake(expected) * (outcome - 1.0);
            }
            *wealth = wealth.min(CEILING);
        }
    }

    /// What the gambler has; he began with 1.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.reserve + self.accounts.iter().sum::<f64>()
    }
}

impl Account {
    /// The part of the wealth to stake: the one that lets it grow fastest if the suspicion is right and bad
    /// events are rare and independent (Kelly 1956). Where many are expected it is nearly all.
    fn stake(&self, expected: f64) -> f64 {
        let excess = self.excess * expected;
        (excess / (1.0 + excess)).min(self.most)
    }
}
