"""The methods paragraphs of the report, ready for a paper or a data card, with their sources."""

from annotate.report_data import FullReport
from annotate.report_parts import Section
from annotate.report_words import LEFT_OUT
from annotate.slices import FALSE_ALARMS, LEAST_PERIOD
from annotate.stats.estimate import MIN_PAIRS, RESAMPLES
from storage.words import many

SOURCES = (
    "Krippendorff, K. (2011). Computing Krippendorff's Alpha-Reliability. University of Pennsylvania.",
    (
        "Fleiss, J. L. (1971). Measuring nominal scale agreement among many raters. Psychological "
        "Bulletin 76(5)."
    ),
    (
        "Gwet, K. L. (2008). Computing inter-rater reliability and its variance in the presence of high "
        "agreement. British Journal of Mathematical and Statistical Psychology 61(1)."
    ),
    (
        "Cohen, J. (1960). A coefficient of agreement for nominal scales. Educational and Psychological "
        "Measurement 20(1)."
    ),
    "Efron, B. (1979). Bootstrap methods: another look at the jackknife. Annals of Statistics 7(1).",
    (
        "Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. "
        "JASA 22(158)."
    ),
    (
        "Mantel, N. (1963). Chi-square tests with one degree of freedom: extensions of the "
        "Mantel-Haenszel procedure. JASA 58(303)."
    ),
    (
        "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal "
        "of Statistics 6(2)."
    ),
    (
        "Ramdas, A., Gruenwald, P., Vovk, V., Shafer, G. (2023). Game-theoretic statistics and safe "
        "anytime-valid inference. Statistical Science 38(4)."
    ),
)
QUALITY_SOURCES = (
    (
        "Dawid, A. P., Skene, A. M. (1979). Maximum likelihood estimation of observer error-rates using "
        "the EM algorithm. Applied Statistics 28(1)."
    ),
    "Whitehill, J. et al. (2009). Whose vote should count more. NeurIPS 22.",
    (
        "Liang, K.-Y., Zeger, S. L. (1986). Longitudinal data analysis using generalized linear models. "
        "Biometrika 73(1)."
    ),
    (
        "Davidson, R. R. (1970). On extending the Bradley-Terry model to accommodate ties in paired "
        "comparison experiments. JASA 65(329)."
    ),
)


def methods_section(full: FullReport) -> Section:
    """What was asked, what counts, how every figure is defined, and with what it was computed."""
    report = full.agreement
    dropped = [f"{n:,} {LEFT_OUT[reason]}" for reason, n in full.left_out.items() if n]
    left_out = f" Left out were {_listed(dropped)}." if dropped else " Nothing was left out."
    says = [
        f"{many(len(report.labelers), 'labeler')} gave {many(report.judgments, 'judgment')} on "
        f"{many(report.pairs, 'pair')} of answers, {report.observed_agreement.n:,} of which have two judgments or more. "
        f"{_shown(full)} A judgment prefers the first answer, the second, calls a tie or calls both "
        "bad; the latest of a person on a pair counts." + left_out,
        (
            "Judgments are compared in the stored order of the answers, never by side of the screen. "
            "Observed agreement is the share of all two judgments on the same pair that have the same "
            "verdict, a tie being a verdict of its own; without ties, the same among judgments that "
            "prefer an answer. Krippendorff's alpha is nominal over the four verdicts, and ordinal over "
            "the strength of preference from -3 to +3 (a tie 0, a strength not said 2, both bad left "
            "out) (Krippendorff 2011). Fleiss' kappa (1971) and Gwet's AC1 (2008) allow for unequal "
            "numbers of judgments and weigh pairs alike. The flip rate is 1 - (1 + sqrt(2p - 1)) / 2 at "
            "agreement p without ties: how often one judgment is wrong, if errors are independent."
        ),
        (
            f"Intervals hold 95 %: percentiles of {RESAMPLES:,} bootstrap resamples of pairs (Efron "
            "1979), and Wilson's (1927) for shares of one labeler's own judgments. Figures that rest on "
            f"fewer than {MIN_PAIRS} pairs with two judgments are not given. Points over time hold "
            f"equal numbers of pairs, at least {LEAST_PERIOD} each, by their last judgment. Slices are "
            "tested against all other pairs with as many judgments (Mantel 1963), and the "
            f"{full.slices.tested} p-values adjusted together (Holm 1979, level {FALSE_ALARMS:g}). The "
            "test against the crowd is an e-process, valid however often one looks (Ramdas et al. 2023)."
        ),
    ]
    sources: tuple[str, ...] = SOURCES
    if full.quality is not None:
        sources += QUALITY_SOURCES
        says.append(
            "Accuracy of labelers is Dawid and Skene's (1979), with one label spread over the verdicts "
            "added to each row; ability is a logistic model with normal pair strengths integrated out "
            "(after Whitehill et al. 2009) over judgments that prefer an answer. Leanings to a side, "
            "to length and to formatting are effects of one logistic regression with normal priors; "
            "errors of overall effects allow for judgments on one pair going together (Liang and "
            "Zeger 1986). Ratings of policies are Bradley and Terry's with Davidson's (1970) ties, "
            "intervals over resampled prompts, style-controlled with length and formatting as terms. "
            "Here tie-breaking judgments count."
        )
    made = ", ".join(f"{name} {found}" for name, found in full.versions.items())
    says.append(f"Computed {full.made_at:%Y-%m-%d %H:%M} UTC with {made}; random seed 0.")
    return Section(title="Methods", says=[*says, f"Sources: {' '.join(sources)}"])


def _shown(full: FullReport) -> str:
    """How people saw the answers, as far as we know."""
    blind = (
        "The two answers stood side by side on sides drawn by lot, without saying which model gave "
        "them, and nobody saw another's judgment before their own."
    )
    if not full.imported:
        return blind
    elsewhere = (
        "made elsewhere and imported; how the answers were shown there is not recorded here."
    )
    if full.imported >= full.agreement.judgments:
        return f"All judgments were {elsewhere}"
    return f"{many(full.imported, 'judgment was', 'judgments were')} {elsewhere} Of the others: {blind[0].lower()}{blind[1:]}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
