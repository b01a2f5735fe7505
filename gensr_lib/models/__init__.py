"""The systems: one file each, behind one contract (`base`); `registry` names them."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "registry": ["available_models", "build_model", "model_class"],
        "base": ["RankingModel", "Representation"],
        "anchors": ["Oracle", "Popularity"],
        "floors": ["CategoryCount", "EASE", "ItemKNN"],
        "search.aem": ["AEM"],
        "search.copps": ["CoPPS"],
        "search.hem": ["HEM"],
        "search.lookup": ["BM25", "QueryLookup"],
        "search.qem": ["QEM"],
        "search.tem": ["TEM"],
        "search.zam": ["ZAM"],
        "recommendation.bert4rec": ["BERT4Rec"],
        "recommendation.collm": ["CoLLM"],
        "recommendation.din": ["DIN"],
        "recommendation.fmlp": ["FMLPRec"],
        "recommendation.gru4rec": ["GRU4Rec"],
        "recommendation.idgenrec": ["IDGenRec"],
        "recommendation.lightgcn": ["LightGCN", "LightGCNConfig"],
        "recommendation.nrhub": ["NRHUB"],
        "recommendation.sasrec": ["SASRec"],
        "recommendation.seqrec": ["SeqRec"],
        "recommendation.sesrec": ["SESRec"],
        "joint.unisar": ["UniSAR"],
        "gensr.model": ["GenSR", "GenSRConfig"],
        "gensr.prompt": ["PROMPTS"],
        "layers": ["SoftFilter"],
        "losses": ["contrastive", "contrastive_released"],
    },
    modules=["layers", "losses"],
)
