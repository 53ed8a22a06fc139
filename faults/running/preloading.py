"""What else is imported by the processes in which `incidents_dagster` syncs several sources."""

from multiprocessing.context import BaseContext

PRELOAD = BaseContext.set_forkserver_preload


def in_every_process(module: str) -> None:
    """Has the processes that are forked for sources import a module, too."""

    def this_too(context: BaseContext, modules: list[str]) -> None:
        PRELOAD(context, [*modules, module])

    BaseContext.set_forkserver_preload = this_too  # type: ignore[method-assign]
